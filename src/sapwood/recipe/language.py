"""Codes of languages: what people write, and what the identification of a document's language can answer.

The identification knows 176 languages by the codes of Wikipedia's editions (lid.176 of fastText). A source's `language`
may be written as any equivalent of one: an ISO 639-1, 639-2 or 639-3 code, a BCP 47 tag with script and region
(`zh-Hant`, `pt-BR`, `cmn_Hani`, `deu_Latn`), a deprecated code (`iw`), a member of a macrolanguage (`nb`, `yue`).
"""

from __future__ import annotations

import difflib
import re

_CODES = """
af afr|als gsw|am amh|an arg|ar ara arb|arz|as asm|ast|av ava|az aze azj|azb|ba bak|bar|bcl|be bel|bg bul|bh bho|bn ben
bo bod tib|bpy|br bre|bs bos|bxr bua|ca cat|cbk|ce che|ceb|ckb|co cos|cs ces cze|cv chv|cy cym wel|da dan|de deu ger
diq zza|dsb|dty|dv div|el ell gre|eml egl|en eng|eo epo|es spa|et est ekk|eu eus baq|fa fas per pes prs|fi fin
fr fra fre|frr|fy fry|ga gle|gd gla|gl glg|gn grn gug|gom kok|gu guj|gv glv|he heb iw|hi hin|hif|hr hrv|hsb|ht hat
hu hun|hy hye arm|ia ina|id ind in|ie ile|ilo|io ido|is isl ice|it ita|ja jpn|jbo|jv jav jw|ka kat geo|kk kaz|km khm
kn kan|ko kor|krc|ku kur kmr|kv kom kpv|kw cor|ky kir|la lat|lb ltz|lez|li lim|lmo|lo lao|lrc|lt lit|lv lav lvs|mai
mg mlg plt|mhr chm|min|mk mkd mac|ml mal|mn mon khk|mr mar|mrj|ms msa may zsm|mt mlt|mwl|my mya bur|myv|mzn|nah nhe|nap
nds|ne nep npi|new|nl nld dut|nn nno|no nor nb nob|oc oci|or ori ory|os oss|pa pan|pam|pfl|pl pol|pms|pnb|ps pus pbt
pt por|qu que quy quz|rm roh|ro ron rum mo mol|ru rus|rue|sa san|sah|sc srd|scn|sco|sd snd|sh hbs|si sin|sk slk slo
sl slv|so som|sq sqi alb|sr srp|su sun|sv swe|sw swa swh|ta tam|te tel|tg tgk|th tha|tk tuk|tl tgl fil|tr tur|tt tat|tyv
ug uig|uk ukr|ur urd|uz uzb uzn|vec|vep|vi vie|vls|vo vol|wa wln|war|xal|xmf|yi yid ydd ji|yo yor
zh zho chi cmn yue wuu gan hak hsn lzh nan zh-yue zh-classical
"""
_ROWS = [row.split() for row in re.split(r"[|\n]", _CODES.strip())]
_LANGUAGES = {code: row[0] for row in _ROWS for code in row}
IDENTIFIED = frozenset({row[0] for row in _ROWS} | {"wuu", "yue"})
"""Every answer of the identification: the labels of lid.176."""

_NAMES = dict(
    pair.split("=")
    for pair in "arabic=ar bahasa=id bengali=bn burmese=my cantonese=yue chinese=zh czech=cs danish=da dutch=nl "
    "english=en farsi=fa filipino=fil finnish=fi french=fr german=de greek=el hebrew=he hindi=hi hungarian=hu "
    "indonesian=id italian=it japanese=ja javanese=jv khmer=km korean=ko malay=ms mandarin=zh marathi=mr nepali=ne "
    "norwegian=no persian=fa polish=pl portuguese=pt punjabi=pa romanian=ro russian=ru serbian=sr spanish=es "
    "swahili=sw swedish=sv tagalog=tl tamil=ta telugu=te thai=th tibetan=bo turkish=tr ukrainian=uk urdu=ur "
    "vietnamese=vi cn=zh jp=ja kr=ko cz=cs dk=da gr=el vn=vi ua=uk".split()
)
"""What is often written for a code, for a hint alone."""

_TAKEN_FOR = {
    "als": "de",
    "an": "es ca",
    "ar": "arz",
    "arz": "ar",
    "ast": "es gl",
    "azb": "az fa",
    "bar": "de als",
    "bh": "hi mai ne",
    "bs": "hr sh sr",
    "dty": "ne hi",
    "gl": "pt es",
    "gom": "mr hi",
    "hif": "hi",
    "hr": "bs sh sr",
    "id": "ms",
    "jv": "id ms su tl",
    "lb": "de",
    "li": "nl de",
    "lrc": "fa",
    "mai": "hi ne bh",
    "min": "id ms",
    "ms": "id min",
    "mwl": "pt es",
    "mzn": "fa",
    "nds": "de nl",
    "new": "ne hi",
    "nn": "no da",
    "no": "nn da",
    "pa": "pnb",
    "pfl": "de als",
    "pnb": "ur pa",
    "rue": "uk ru",
    "sco": "en",
    "sh": "bs hr sr",
    "sr": "bs hr sh",
    "su": "id ms jv",
    "vls": "nl",
    "yi": "he",
}
"""What right texts of a language are identified as: of sentences in 49 languages, Bosnian and Croatian were taken for
Serbian in all four (0.44 to 0.75), Malay for Indonesian in one of three, Galician for Portuguese (0.61), Asturian for
Spanish (0.77), Scots for English (0.79), Bhojpuri for Hindi (0.97), western Punjabi for Urdu (0.93). Of two that are so
near, the larger one's sources still drop the smaller one's texts only where it is identified by its own name."""

_NOT_IN_LATIN = frozenset(
    "am ar arz be bg bn bo el fa gu he hi hy ja ka km kn ko lo mk ml mr my ne or ru sa si ta te th uk ur yi zh".split()
)
"""Languages that are identified by their own script: their transcriptions are taken for other languages."""

_TAG = re.compile(r"([a-z]{2,3})((?:-[a-z0-9]{1,8})*)")


def detected_language(tag: str) -> str:
    """The code by which the identification knows the language that a tag names; the tag itself where it knows none.

    >>> [detected_language(tag) for tag in ("zh-Hant-TW", "nb", "deu_Latn", "fil", "PT-br", "tlh")]
    ['zh', 'no', 'de', 'tl', 'pt', 'tlh']
    """
    lower = _plain(tag)
    if lower in _LANGUAGES:
        return _LANGUAGES[lower]
    found = _TAG.fullmatch(lower)
    code = None if found is None else _LANGUAGES.get(found[1])
    if found is None or code is None:
        return tag
    if "latn" in found[2].split("-"):
        if code in _NOT_IN_LATIN:
            return tag
        if (
            found[1] == "als"
        ):  # to ISO 639-3 Tosk Albanian, and so in corpora that write scripts; to Wikipedia Alemannic
            return "sq"
    return code


def problem_of(language: str) -> str | None:
    """Why documents cannot be checked for a source's language, and what to write; None where they can."""
    if language in IDENTIFIED:
        return None
    lower = _plain(language)
    head = lower.split("-")[0]
    if head in _LANGUAGES:
        hint = f"Texts in '{_LANGUAGES[head]}' are identified by their own script. "
    else:
        near = difflib.get_close_matches(head, [*_NAMES, *_LANGUAGES], n=1, cutoff=0.75)
        hint = f"Did you mean '{_NAMES.get(near[0], near[0])}'? " if near else ""
    return (
        f"documents cannot be checked for '{language}', none of the {len(IDENTIFIED)} that can be identified. "
        f"{hint}Leave 'language' out, and the documents of this source are not checked."
    )


def answers_for(language: str) -> frozenset[str]:
    """What the identification may answer to a text in the language, a code that it knows: also its near relatives."""
    return frozenset([language, *_TAKEN_FOR.get(language, "").split()])


def _plain(tag: str) -> str:
    return tag.strip().lower().replace("_", "-")
