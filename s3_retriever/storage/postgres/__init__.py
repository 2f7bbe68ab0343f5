"""An index in PostgreSQL: documents, codes and look-up in tables that many servers share."""
