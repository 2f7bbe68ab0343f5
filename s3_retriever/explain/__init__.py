"""Why a span was found, why a document was not, and pictures of both."""
