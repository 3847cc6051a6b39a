#!/usr/bin/env bash
# OpenCC 1.4.2: Simplified text turned into Traditional and back is not the text it was.
#
# Seen: s2t and then t2s turns 应用于单元格 ("applied to a cell") into 应用於单元格, with a character that Simplified
# text does not have there, while 作用于 and 适用 alone come back whole; 坐标 (coordinate) comes back as 座标 and 想象
# (imagine) as 想像. Which words change hangs on the phrases in its dictionaries, not on the characters.
# What it means here: texts that may be in either script are compared after folding characters that are variants of each
# other to one, never after converting both to one script.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check 'opencc==1.4.2'

"$work/env/bin/python" - <<'P'
import opencc

there, back = opencc.OpenCC("s2t"), opencc.OpenCC("t2s")
seen = {"应用于单元格": "应用於单元格", "坐标": "座标", "想象": "想像", "作用于": "作用于", "于是": "于是", "复制": "复制"}
for text, expected in seen.items():
    traditional = there.convert(text)
    returned = back.convert(traditional)
    print(text, traditional, returned, "" if returned == text else "CHANGED")
    assert returned == expected
P
