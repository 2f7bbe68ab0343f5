"""Spans, results and explanations as HTML: no scripts, and every text escaped.

The lowest layer: it takes plain values and knows nothing else of the package.
"""

from __future__ import annotations

from s3_retriever.html.api import api_html
from s3_retriever.html.pages import explanation_html, page_html, result_html, span_html

__all__ = ["api_html", "explanation_html", "page_html", "result_html", "span_html"]
