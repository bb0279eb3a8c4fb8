"""Phone numbers: what people and trunks write, turned into E.164 by the phonenumbers library."""

import re

import phonenumbers

_NOT_DIALABLE = re.compile(r"[^0-9+]")
_NOT_DIGITS = re.compile(r"[^0-9]")
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


def ways(number: str, region: str) -> frozenset[str]:
    """The digits of every way in which a trunk may write this E.164 number.

    With country code; as dialled abroad from `region`; as dialled at home, with and without prefix.
    """
    parsed = phonenumbers.parse(number)
    written = (
        number,
        phonenumbers.format_out_of_country_calling_number(parsed, region),
        f"{_out_of_country_prefix(region)}{number}",
        phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL),
        phonenumbers.national_significant_number(parsed),
    )
    return frozenset(_NOT_DIGITS.sub("", text) for text in written)


def _out_of_country_prefix(region: str) -> str:
    """What is dialled before a country code there: 00 in most countries, 011 in North America."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    prefix = metadata.international_prefix if metadata else None
    return prefix if prefix and prefix.isdigit() else "00"


def candidates(dialled: str, region: str) -> tuple[str, ...]:
    """What a trunk may have meant by `dialled`, likeliest first: trunks write numbers many ways.

    "+49...", "0049...", "030..." and "4930..." are all seen in the wild. A number that exists is
    likelier than one that is merely long enough: "442079460000" in Germany is a London number.
    """
    digits = _NOT_DIALABLE.sub("", dialled)[:LONGEST]
    found = []
    for text in (digits, f"+{digits.lstrip('+')}"):
        try:
            found.append(to_e164(text, region))
        except NotANumber:
            continue
    return tuple(sorted(dict.fromkeys(found), key=lambda number: not _exists(number)))


def _exists(number: str) -> bool:
    return phonenumbers.is_valid_number(phonenumbers.parse(number))
