"""A page that shows questions and their answers side by side: one file that needs nothing but a browser.

Everything that catalogs and callers wrote is escaped, links are http or https only, and the page's own policy forbids
scripts and every outside resource but pictures.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from importlib.resources import files

from sosie.client.questions import Crop
from sosie.client.results import (
    Availability,
    Classification,
    ClassifyResult,
    EmbeddingSpace,
    Hit,
    PartShare,
    SearchResult,
    count,
)

PART_COLOURS = 6
"""How many the style sheet has, as --part-0 and so on."""

MAX_OTHER_PICTURES = 5

PictureUri = Callable[[Hit, str], str | None]
"""The data URI of a hit's picture by its id, None where its file is not at hand."""

_STOCK = {Availability.OUT_OF_STOCK: "out of stock", Availability.PREORDER: "pre-order"}


@dataclass(frozen=True)
class SheetQuery:
    """What the sheet shows of a question: `picture` is a data URI, `options` are shown as they are."""

    title: str
    picture: str | None = None
    crop: Crop | None = None
    sentence: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


def page(sections: Iterable[str], *, address: str, time: datetime) -> str:
    """The whole page around its sections."""
    style = files("sosie.client").joinpath("contact_sheet.css").read_text("utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data: http: https:; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>sosie contact sheet</title>
<style>
{style}</style>
</head>
<body>
<header class="masthead">
<h1>sosie</h1>
<p class="quiet">answers of {escape(address)}, {time:%Y-%m-%d %H:%M}</p>
</header>
<main>
{"".join(sections)}</main>
</body>
</html>
"""


def search_section(query: SheetQuery, result: SearchResult, picture_uri: PictureUri) -> str:
    """A search and its hits."""
    colours = {part.name: index % PART_COLOURS for index, part in enumerate(result.space.parts)}
    cards = [_hit(rank, hit, colours, picture_uri) for rank, hit in enumerate(result.hits, 1)]
    answer = f'<ol class="hits">\n{"".join(cards)}</ol>' if cards else '<p class="nothing">Nothing fits.</p>'
    facts = {"found": count(len(result.hits), "hit"), **_space_facts(result.space)}
    return _section(query, facts, result.step_times, answer)


def classify_section(query: SheetQuery, result: ClassifyResult) -> str:
    """A picture and the labels that fit it."""
    sets = "".join(_label_set(answer) for answer in result.classifications)
    facts = {"space": result.space.name} if result.space.name else {}
    return _section(query, facts, result.step_times, f'<div class="sets">\n{sets}</div>')


def _section(query: SheetQuery, facts: Mapping[str, str], step_times: Mapping[str, float], answer: str) -> str:
    times = {step: f"{seconds * 1000:.1f} ms" for step, seconds in step_times.items()}
    return f"""<section class="question">
<div class="query">
{_query(query)}{_facts("facts", {**query.options, **facts})}{_facts("facts times number", times)}</div>
{answer}
</section>
"""


def _query(query: SheetQuery) -> str:
    parts = []
    if query.picture is not None:
        image = f'<img src="{escape(query.picture)}" alt="the picture asked with">'
        crop = "" if query.crop is None else _crop(query.crop)
        parts.append(f'<figure><span class="frame">{image}{crop}</span></figure>\n')
    if query.sentence is not None:
        parts.append(f"<blockquote>“{escape(query.sentence)}”</blockquote>\n")
    if query.title:
        parts.append(f"<h2>{escape(query.title)}</h2>\n")
    return "".join(parts)


def _crop(crop: Crop) -> str:
    left, top = crop.left * 100, crop.top * 100
    wide, high = (crop.right - crop.left) * 100, (crop.bottom - crop.top) * 100
    return f'<i class="crop" style="left:{left:.2f}%;top:{top:.2f}%;width:{wide:.2f}%;height:{high:.2f}%"></i>'


def _facts(kind: str, facts: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>\n" for name, value in facts.items())
    return f'<dl class="{kind}">\n{rows}</dl>\n' if rows else ""


def _space_facts(space: EmbeddingSpace) -> dict[str, str]:
    weighed = [f"{part.name} {part.weight:g}" for part in space.parts if part.weight]
    facts = {"space": space.name, **({"weighed": ", ".join(weighed)} if weighed else {})}
    return facts | ({"weights of": " / ".join(space.category_path)} if space.category_path else {})


def _hit(rank: int, hit: Hit, colours: Mapping[str, int], picture_uri: PictureUri) -> str:
    product = hit.product
    title = escape(product.title)
    source = _picture_source(hit, hit.picture.id, hit.picture.url, picture_uri)
    picture = f'<img src="{escape(source)}" alt="{title}" loading="lazy">' if source else "<p>no picture</p>"
    link = f'<a href="{escape(product.url)}" rel="noreferrer">{title}</a>' if _is_web(product.url) else title
    maker = " · ".join(escape(name) for name in (product.brand, product.shop) if name)
    stock = f'<span class="stock">{_STOCK[product.availability]}</span>' if product.availability in _STOCK else ""
    price = f'<span class="price number">{escape(str(product.price))}</span>' if product.price else ""
    offer = f"<p>{price}{stock}</p>\n" if price or stock else ""
    return f"""<li class="hit">
<figure>{picture}<span class="rank number">{rank}</span></figure>
<div class="about">
<h3>{link}</h3>
<p class="quiet">{maker}</p>
{offer}<div class="score number">{_score_bar(hit, colours)}<b>{hit.score:.3f}</b></div>
{_shares(hit.shares, colours)}{_other_pictures(hit, picture_uri)}</div>
</li>
"""


def _score_bar(hit: Hit, colours: Mapping[str, int]) -> str:
    """One length, or with shares one length per part that gave something; together they are as long as the score."""
    gave = sum(max(0.0, share.share) for share in hit.shares)
    scale = hit.score / gave if gave else 0.0
    lengths = [(share.share * scale, f"background:var(--part-{colours.get(share.part, 0)});") for share in hit.shares]
    return _bar(lengths if hit.shares else [(hit.score, "")])


def _bar(lengths: Sequence[tuple[float, str]]) -> str:
    inner = "".join(f'<i style="{style}width:{length * 100:.1f}%"></i>' for length, style in lengths if length > 0)
    return f'<span class="bar">{inner}</span>'


def _shares(shares: Sequence[PartShare], colours: Mapping[str, int]) -> str:
    rows = "".join(
        f'<li><i style="background:var(--part-{colours.get(share.part, 0)})"></i>{escape(share.part)}'
        f'<span class="number">{share.share:+.3f}</span>'
        f'<span class="quiet number">cos {share.cosine:.2f}</span></li>\n'
        for share in shares
    )
    return f'<ul class="shares">\n{rows}</ul>\n' if rows else ""


def _other_pictures(hit: Hit, picture_uri: PictureUri) -> str:
    shown = [
        f'<img src="{escape(source)}" alt="{escape(match.id)}" '
        f'title="{escape(match.id)}, {match.score:.3f}" loading="lazy">'
        for match in hit.pictures
        if match.id != hit.picture.id and (source := _picture_source(hit, match.id, match.url, picture_uri))
    ]
    return f'<div class="others">{"".join(shown[:MAX_OTHER_PICTURES])}</div>\n' if shown else ""


def _picture_source(hit: Hit, picture_id: str, url: str, picture_uri: PictureUri) -> str | None:
    return picture_uri(hit, picture_id) or (url if _is_web(url) else None)


def _is_web(url: str) -> bool:
    return url.startswith(("https://", "http://"))


def _label_set(answer: Classification) -> str:
    rows = "".join(
        f'<li><span>{escape(label.label)}</span><b class="number">{label.score:.3f}</b>'
        f"{_bar([(label.score, '')])}</li>\n"
        for label in answer.labels
    )
    return f'<div class="set">\n<h3>{escape(answer.label_set)}</h3>\n<ol>\n{rows}</ol>\n</div>\n'
