"""Shops by declaration: a YAML file says where each field is, and pages become products. Nothing is fetched here."""
