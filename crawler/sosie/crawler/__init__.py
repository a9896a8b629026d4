"""Shops and feeds become catalogs: files of Product lines.

    feeds         what shops export for others: Yandex YML, Google Merchant, tables, schema.org in JSON lines
    shops         a shop as a declaration, and what it extracts from a page

It stands on the contract (`sosie.v1.product_pb2`) and on no other room.
"""
