"""The product of a page's OpenGraph tags."""

from sosie.crawler.schema_org import Found


def read_tags(properties: dict[str, list[str]]) -> Found:
    """The fields that OpenGraph's meta properties give, where the page is a product's."""
    price = properties.get("product:price:amount") or properties.get("og:price:amount") or []
    if not price and not any(kind.endswith("product") for kind in properties.get("og:type", [])):
        return {}
    found: Found = {
        "product_id": properties.get("product:retailer_item_id", []),
        "title": properties.get("og:title", []),
        "brand": properties.get("product:brand") or properties.get("og:brand") or [],
        "category": properties.get("product:category", []),
        "price": price,
        "currency": properties.get("product:price:currency") or properties.get("og:price:currency") or [],
        "url": properties.get("og:url", []),
        "pictures": properties.get("og:image:secure_url") or properties.get("og:image") or [],
        "availability": properties.get("product:availability") or properties.get("og:availability") or [],
        "description": properties.get("og:description", []),
        "@colour": properties.get("product:color", []),
        "@group_id": properties.get("product:item_group_id", []),
    }
    return {name: texts for name, texts in found.items() if texts}
