"""open_clip's tokenizers as one tokenizer.json, which the engine runs without torch and without open_clip.

The engine cleans a sentence (engine.text.CLEANINGS), the file cuts it into tokens, TextInput says how it is padded.
Together they give the ids that open_clip's own tokenizer gives; `check_tokenizer` holds them to it.
"""

import sosie.training.torchvision_on_cpu  # noqa: F401  # open_clip imports torchvision

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex
import tokenizers
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer, get_clean_fn
from tokenizers import models, pre_tokenizers, processors

from sosie.engine.inference import TextInput
from sosie.engine.text import CLEANINGS, Tokenizer
from sosie.training.clip.sentences import SENTENCES
from sosie.training.errors import VerificationError, WeightsError

_WORD_END = "</w>"
_CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")


@dataclass(frozen=True)
class TokenizerFile:
    """A tokenizer.json with what the engine has to know besides.

    `stripped` is an id that the text tower is to read as 0, None where there is none.
    """

    data: bytes
    text_input: TextInput
    stripped: int | None = None


def export_tokenizer(tokenizer: SimpleTokenizer | HFTokenizer) -> TokenizerFile:
    """The file for a tokenizer that open_clip made. Raises WeightsError where it cannot be put into one."""
    if isinstance(tokenizer, SimpleTokenizer):
        if tokenizer.reduction_fn is not None:
            raise WeightsError("the model's tokenizer drops words of long sentences by chance: it cannot be served")
        return _describe(_convert_bpe(tokenizer), tokenizer)
    inner = tokenizer.tokenizer
    if not getattr(inner, "is_fast", False) or tokenizer.tokenizer_mode or inner.truncation_side != "right":
        raise WeightsError(
            f"the model's tokenizer ({type(inner).__name__}, mode {tokenizer.tokenizer_mode!r}, cut on the "
            f"{inner.truncation_side}) has no tokenizer.json that does the same: it cannot be served"
        )
    if inner.pad_token_id is None:
        raise WeightsError("the model's tokenizer names no token for padding: set pad_token in tokenizer_config.json")
    plain = tokenizers.Tokenizer.from_str(inner.backend_tokenizer.to_str())
    plain.no_padding()
    plain.no_truncation()
    stripped = inner.sep_token_id if tokenizer.strip_sep_token else None
    return _describe(plain, tokenizer, stripped, pad_id=inner.pad_token_id, pad_side=inner.padding_side)


def check_tokenizer(tokenizer: Any, file: TokenizerFile, sentences: Sequence[str] = SENTENCES) -> None:
    """Raises VerificationError where the file gives other ids than open_clip's tokenizer, with the first sentence."""
    expected = tokenizer(list(sentences)).numpy()
    found = Tokenizer(file.data, file.text_input).encode(sentences)
    if file.stripped is not None:
        found[found == file.stripped] = 0
    if found.shape != expected.shape:
        raise VerificationError(f"tokenizer.json gives {found.shape[1]} tokens, open_clip's own {expected.shape[1]}")
    wrong = [sentence for sentence, a, b in zip(sentences, found, expected, strict=True) if (a != b).any()]
    if wrong:
        raise VerificationError(
            f"tokenizer.json gives other tokens than open_clip's own for {len(wrong)} of {len(sentences)} sentences, "
            f"the first is {wrong[0][:80]!r}"
        )


def _describe(
    plain: tokenizers.Tokenizer,
    tokenizer: SimpleTokenizer | HFTokenizer,
    stripped: int | None = None,
    **padding: Any,
) -> TokenizerFile:
    data = plain.to_str().encode()
    length = tokenizer.context_length
    text_input = TextInput(
        max_tokens=length,
        tokenizer_sha256=hashlib.sha256(data).hexdigest(),
        pad_to=length,
        cleaning=_name_cleaning(tokenizer),
        **padding,
    )
    return TokenizerFile(data, text_input, stripped)


def _name_cleaning(tokenizer: SimpleTokenizer | HFTokenizer) -> Any:
    return next(name for name in CLEANINGS if name and tokenizer.clean_fn is get_clean_fn(name))


def _convert_bpe(tokenizer: SimpleTokenizer) -> tokenizers.Tokenizer:
    """CLIP's byte-pair encoding: words by a pattern, their UTF-8 bytes as characters, merges by rank."""
    vocabulary: dict[str, int] = dict(tokenizer.encoder)
    merges: list[tuple[str, str]] = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.get)
    specials = {name: vocabulary[name] for name in map(tokenizer.decoder.get, tokenizer.all_special_ids)}
    if _name_cleaning(tokenizer) == "lower":
        _merge_specials(vocabulary, merges, specials)
    converted = tokenizers.Tokenizer(_make_model(vocabulary, merges))
    words = tokenizers.Regex(_word_pattern(specials))
    converted.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    first, last = (tokenizer.decoder[number] for number in (tokenizer.sot_token_id, tokenizer.eot_token_id))
    converted.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=[(first, specials[first]), (last, specials[last])]
    )
    return converted


def _make_model(vocabulary: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> models.BPE:
    return models.BPE(
        vocab=dict(vocabulary), merges=list(merges), continuing_subword_prefix="", end_of_word_suffix=_WORD_END
    )


def _merge_specials(vocabulary: dict[str, int], merges: list[tuple[str, str]], specials: Mapping[str, int]) -> None:
    """Makes a special token that is written out in a sentence come out as its id, as open_clip has it.

    Declaring it special would cut it out of any place, open_clip finds it where a word may begin. So what it is merged
    to anyway is merged on, by the last of all merges, to a word of its id. Only the special tokens join letters and
    signs in one word, so nothing else meets these merges; that sentences are in lower case is taken for granted.
    """
    model = _make_model(vocabulary, merges)
    for name, number in specials.items():
        pieces = [token.value for token in model.tokenize(name)]
        joined = list(itertools.accumulate(pieces))
        for left, right, whole in zip(joined, pieces[1:], joined[1:], strict=False):
            merges.append((left, right))
            vocabulary.setdefault(whole, len(vocabulary))
        del vocabulary[name]
        vocabulary[joined[-1]] = number


def _word_pattern(specials: Mapping[str, int]) -> str:
    """open_clip's pattern for words, each class spelt out as the package `regex` knows it.

    The regular expressions of `tokenizers` follow an older Unicode: 17,000 letters were no letters to them. What is
    cleaned holds no white space but single blanks. What is neither blank, letter nor digit is a sign, but for U+0345:
    its upper case is a letter, so that without regard to case it is none of all, and open_clip loses it.
    """
    letters, digits, signs = (_find_class(kind) for kind in (r"[\p{L}]", r"[\p{N}]", r"[^\s\p{L}\p{N}]"))
    lost = set(_EVERY_CHARACTER) - set(letters) - set(digits) - set(signs) - set(regex.findall(r"\s", _EVERY_CHARACTER))
    words, numbers, others = (_spell_class(found) for found in (letters, digits, [*letters, *digits, *sorted(lost)]))
    literal = "|".join(_any_case(text) for text in (*specials, *_CONTRACTIONS))
    return f"{literal}|[{words}]+|[{numbers}]|[^ {others}]+"


def _find_class(kind: str) -> list[str]:
    found: list[str] = regex.findall(kind, _EVERY_CHARACTER, regex.IGNORECASE)
    return found


def _spell_class(letters: Sequence[str]) -> str:
    """The inside of a class: what follows each other is written as a range."""
    runs: list[str] = []
    for letter in letters:
        if runs and ord(letter) == ord(runs[-1][-1]) + 1:
            runs[-1] = runs[-1][0] + letter
        else:
            runs.append(letter)
    return "".join("-".join(run) for run in runs)


def _any_case(text: str) -> str:
    """A pattern for the text in any case; regex takes the long s for an s, too."""
    return "".join(_one_of(_find_class(regex.escape(letter))) for letter in text)


def _one_of(letters: Sequence[str]) -> str:
    return f"[{''.join(letters)}]" if len(letters) > 1 else letters[0]


_SURROGATES = range(0xD800, 0xE000)  # no characters of their own
_EVERY_CHARACTER = "".join(chr(code) for code in range(0x110000) if code not in _SURROGATES)
