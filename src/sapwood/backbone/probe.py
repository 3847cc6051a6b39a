"""Texts on which two tokenizers that are not quite the same show it."""

from __future__ import annotations

from collections.abc import Iterable

_PLAIN = (
    "",
    " ",
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "It's they'll I'VE we'd you're o'clock 'S 's ''s don’t",
    "MixedCase camelCase snake_case SCREAMING_CASE kebab-case x86_64 H2O",
    # white space
    "  leading, trailing  ",
    "tab\tand\ttabs\t\t\tend\t",
    "line\nline\n\nline\r\nline\r\rline\n \n \t\n",
    " " * 300 + "x" + " " * 67,
    "\n" * 130,
    "\t \t \n\n  \n   \n    x",
    "no\u00a0break\u2007figure\u202fnarrow\u3000ideographic\u2003em\u200bzero\ufeffmark\u2028line\u2029paragraph\u0085next",
    "\u1680\u180e\u2000\u2001\u205f\x0b\x0c\x1c\x1d\x1e\x1f",
    # digits and signs
    "0 12 345 6789 01234567890123456789 3.14159 1,234,567.89 1e-7 0x1F 50% $9.99 №5 ½ ² Ⅷ ٣٤٥ ４５６ १२३",
    "(){}[]<>!?.,;:'\"`~@#$%^&*-_=+\\|/ ... --- === *** ### ???!!! —–‐ «» „“ … · •",
    "$$\\frac{1}{2}\\sum_{i=0}^{n} x_i^{2}$$ ∀x∈ℝ: x² ≥ 0 ⇒ ∃y. ∫₀¹ √x dx ≈ 0.667",
    # scripts
    "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。她说：“你好！”",
    "繁體中文與简体中文混合 ABC１２３ｆｕｌｌｗｉｄｔｈ　空格",
    "日本語のテキスト、カタカナとひらがな。ｶﾅ ㌔ ㈱ 々〆",
    "한국어 문장입니다. 한글 조합: \u1112\u1161\u11ab",
    "Русский текст, українська мова. Ελληνικά κείμενα. Հայերեն. ქართული",
    "النص العربي مع التشكيل: مُحَمَّد \u200f١٢٣\u200e עברית עִם נִקּוּד",
    "हिन्दी पाठ क्षत्रिय \u0915\u094d\u200d\u0937 தமிழ் ไทยไม่มีช่องว่าง ລາວ မြန်မာ ខ្មែរ བོད",
    "Tiếng Việt có dấu, Türkçe İıŞş, Łódź, Ærøskøbing, ß ẞ ﬁ ﬂ Ĳ ǆ",
    # combining marks, in both forms
    "e\u0301 é a\u030a å n\u0303 ñ o\u0302\u0323 ộ \u0301alone z\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307",
    # outside the basic plane
    "😀😃 👩‍👩‍👧‍👦 👍🏽 🇨🇳🇺🇳 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f ❤️ ☺︎",
    "𝒜𝔹𝕔𝟘𝟙 𠀀𠮷𪜈𫝀 𐍈𐌰 𓀀𓂀 𝄞 \U0001f9ff\U0010fffd",
    "\ufffd \ufffe \uffff \ue000 \U000f0000",
    # control characters
    "nul\x00inside\x00\x00 \x01\x02\x7f\x80\x9f bell\x07 escape\x1b[31mred\x1b[0m",
    # long runs
    "a" * 1000,
    "ab" * 700,
    "A" * 333 + "1" * 333 + "!" * 333,
    "1234567890" * 60,
    "天" * 400,
    "😀" * 200,
    "=" * 257 + "\n" + "-" * 255 + "\n" + "*" * 256,
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis " * 6,
    "".join(chr(97 + (i * i + i // 7) % 26) for i in range(5000)),
    # what stands on the web and in repositories
    'def f(x: int) -> str:\n    """Doc."""\n\treturn f\'{x!r:>10}\'  # why\n\n\nclass A(B):\n        pass\n',
    "for (int i = 0; i < n; ++i) { a[i] = b[i] << 2 ^ ~mask; } /* end */ // && ||\n#include <stdio.h>\n",
    '{"key": [1, 2.5e3, null, true], "nested": {"a\\n": "\\u00e9"}}\n<p class="x">A &amp; B&nbsp;</p><br/>\n',
    "https://example.org/a/b_c-d?e=f&g=%E4%BD%A0#h user.name+tag@mail.example.co.uk C:\\Windows\\System32 ~/.ssh/x",
    "| a | b |\n|---|:-:|\n| 1 | 2 |\n\n# Title\n\n- [ ] item\n  1. nested\n\n```python\nx\n```\n> quote\n",
    "\\begin{align} a &= b \\\\ c &= d \\end{align} \\u4e2d \\x41 %s %-5d {0} ${HOME}",
    "2024-02-29T23:59:60.999+08:00 12:30pm 1st 2nd 3rd № 192.168.0.1 ::1 +1 (555) 010-9999",
    "▁▁ \u2581word Ġword Ċ <0x0A> ##ing . </w> [UNK] [MASK]",
    # control tokens of the usual families, as text
    "<s></s><unk><pad><bos><eos> <|endoftext|><|end_of_text|><|begin_of_text|><|eot_id|>",
    "<|im_start|>user\nhi<|im_end|>\n<|start_header_id|>x<|end_header_id|> <start_of_turn> [INST] [/INST] <<SYS>>",
    "<|fim_prefix|> <think></think> <tool_call> <|endoftext| > <|endof text|> <| endoftext |> <|<|endoftext|>|>",
)


def probe_texts(spellings: Iterable[str]) -> list[str]:
    """The texts, and with them the given spellings of added tokens: alone, inside words, in a row and cut short."""
    names = list(spellings)
    spelt = [
        text
        for name in names
        for text in (
            name,
            f" {name}",
            f"a{name}b",
            f"天{name}\n",
            f"{name}{name} {name}",
            name[:-1],
            name[1:],
            name.upper(),
        )
    ]
    return [*_PLAIN, "\n".join(_PLAIN), *spelt, "".join(names)]
