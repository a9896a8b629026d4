"""What shops export for others to read, as drafts of products: one offer at a time, never a whole feed in memory.

opening, decoding     a file to clean text: packing, encoding, what XML forbids
elements, records     text to the offers' elements of XML, to the rows of tables and to JSON
yandex, google        what an offer says in Yandex YML, in Google Merchant
formats, reading      which kind a feed is; its offers, each a draft or unusable
harvest, report       a feed to a catalog, its rejects, and what was counted
"""
