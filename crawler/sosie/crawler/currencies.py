"""Currencies: the active codes of ISO 4217, list one, as of February 2026, and the signs that stand for one alone."""

_CODES = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
    CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL
    HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA
    MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD
    RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD
    USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XUA YER ZAR
    ZMW ZWG
"""
_ACTIVE = frozenset(_CODES.split())

_SIGNS = {
    "€": "EUR",
    "euro": "EUR",
    "eur": "EUR",
    "£": "GBP",
    "₽": "RUB",
    "руб": "RUB",
    "руб.": "RUB",
    "р.": "RUB",
    "р": "RUB",
    "Р": "RUB",
    "₹": "INR",
    "₴": "UAH",
    "грн": "UAH",
    "грн.": "UAH",
    "₸": "KZT",
    "₺": "TRY",
    "₩": "KRW",
    "₪": "ILS",
    "₫": "VND",
    "฿": "THB",
    "₱": "PHP",
    "₦": "NGN",
    "₼": "AZN",
    "₾": "GEL",
    "֏": "AMD",
    "zł": "PLN",
    "Zł": "PLN",
    "Kč": "CZK",
    "円": "JPY",
    "US$": "USD",
    "HK$": "HKD",
    "NT$": "TWD",
    "R$": "BRL",
    "A$": "AUD",
    "AU$": "AUD",
    "C$": "CAD",
    "CA$": "CAD",
    "NZ$": "NZD",
    "S$": "SGD",
    "MX$": "MXN",
}
"""What is not here, such as $, kr, Rs and ¥, is several currencies' sign."""


def is_currency(code: str) -> bool:
    """Whether this is an active ISO 4217 code, in capitals.

    >>> is_currency("EUR"), is_currency("eur"), is_currency("HRK")
    (True, False, False)
    """
    return code in _ACTIVE


def name_currency(sign: str) -> str:
    """The code that a sign or a code stands for; empty where it may be one of several, or is none.

    >>> name_currency("₽"), name_currency("chf"), name_currency("$")
    ('RUB', 'CHF', '')
    """
    written = sign.strip()
    code = written.upper()
    return code if code in _ACTIVE else _SIGNS.get(written, "")
