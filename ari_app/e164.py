"""Phone numbers: what people and trunks write, turned into E.164 by the phonenumbers library."""

import re

import phonenumbers

_NOT_DIALABLE = re.compile(r"[^0-9+]")
LONGEST = 64


class NotANumber(ValueError):
    """The text is no phone number; the message says what to write instead."""


def to_e164(text: str, region: str) -> str:
    """The number in E.164 ("+4930123456"); `region` (ISO 3166) is assumed without a +.

    Raises NotANumber. Numbers that could be dialled but aren't assigned yet are accepted.
    """
    try:
        number = phonenumbers.parse(text[:LONGEST], region)
    except phonenumbers.NumberParseException as error:
        raise _refusal(text, region) from error
    # Not `is_possible_number`: it takes a local number without its area code for possible.
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible != phonenumbers.ValidationResult.IS_POSSIBLE or number.extension:
        raise _refusal(text, region)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _refusal(text: str, region: str) -> NotANumber:
    shown = text[:LONGEST].encode("unicode_escape").decode()
    return NotANumber(
        f"{shown!r} is not a phone number: write it with country code, as +15551234567"
        f" (without + it is read as a number of {region})"
    )


def candidates(dialled: str, region: str) -> tuple[str, ...]:
    """What a trunk may have meant by `dialled`, likeliest first: trunks write numbers many ways.

    "+49...", "0049...", "030..." and "4930..." are all seen in the wild.
    """
    digits = _NOT_DIALABLE.sub("", dialled)[:LONGEST]
    found = []
    for text in (digits, f"+{digits.lstrip('+')}"):
        try:
            found.append(to_e164(text, region))
        except NotANumber:
            continue
    return tuple(dict.fromkeys(found))
