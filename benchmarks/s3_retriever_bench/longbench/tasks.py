"""The nine tasks of the published tables and LongBench's prompts for them.

Source: LongBench (arXiv 2308.14508), its ``dataset2prompt.json``, word for word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FAMILIES", "NEW_TOKENS", "TASKS", "Family", "Metric", "Task"]

Family = Literal["single-document", "multi-document", "summary"]
Metric = Literal["f1", "rouge-l"]

FAMILIES: dict[Family, str] = {
    "single-document": "Single-document QA",
    "multi-document": "Multi-document QA",
    "summary": "Summarization",
}
"""What the published table calls them, in its order."""

NEW_TOKENS: dict[Metric, int] = {"f1": 64, "rouge-l": 256}
"""Most tokens of an answer, as S3-Attention generates (2601.17702, "Settings")."""


@dataclass(frozen=True)
class Task:
    """One data set of LongBench and how a model is asked."""

    name: str
    """LongBench's own."""
    title: str
    """The column of the published table."""
    family: Family
    prompt: str
    """With the places ``{context}`` and, where a question is asked, ``{input}``."""
    metric: Metric
    instruction: str = ""
    """What a retriever is asked where the data set asks no question: the prompt's own words."""

    @property
    def max_new_tokens(self) -> int:
        """Most tokens of an answer.

        Example:
            >>> TASKS["qasper"].max_new_tokens, TASKS["qmsum"].max_new_tokens
            (64, 256)
        """
        return NEW_TOKENS[self.metric]

    def question(self, given: str) -> str:
        """What is looked for: the record's question, or the instruction where there is none.

        Example:
            >>> TASKS["gov_report"].question("")
            'Write a one-page summary of the report.'
        """
        return given if "{input}" in self.prompt else self.instruction

    def fill(self, context: str, question: str) -> str:
        """The prompt about ``context``.

        Example:
            >>> TASKS["multifieldqa_en"].fill("It rained.", "Why?")[:54].splitlines()
            ['Read the following text and answer briefly.', '', 'It rained']
        """
        return self.prompt.format(context=context, input=question)


_CONCISELY = (
    "Answer the question as concisely as you can, using a single phrase if possible. "
    "Do not provide any explanation."
)
_ARTICLE = (
    "as concisely as you can, using a single phrase or sentence if possible. If the question "
    'cannot be answered based on the information in the article, write "unanswerable". If the '
    'question is a yes/no question, answer "yes", "no", or "unanswerable". Do not provide '
    "any explanation."
)
_PASSAGES = (
    "Answer the question based on the given passages. Only give me the answer and do not output "
    "any other words."
)
_MULTI_HOP = (
    f"{_PASSAGES}\n\nThe following are given passages.\n{{context}}\n\n{_PASSAGES}\n\n"
    "Question: {input}\nAnswer:"
)

TASKS = {
    task.name: task
    for task in (
        Task(
            "narrativeqa",
            "NrtvQA",
            "single-document",
            "You are given a story, which can be either a novel or a movie script, and a question. "
            f"{_CONCISELY}\n\nStory: {{context}}\n\n"
            "Now, answer the question based on the story as concisely as you can, using a single "
            "phrase if possible. Do not provide any explanation.\n\n"
            "Question: {input}\n\nAnswer:",
            "f1",
        ),
        Task(
            "qasper",
            "Qasper",
            "single-document",
            f"You are given a scientific article and a question. Answer the question {_ARTICLE}"
            "\n\nArticle: {context}\n\n"
            f" Answer the question based on the above article {_ARTICLE}\n\n"
            "Question: {input}\n\nAnswer:",
            "f1",
        ),
        Task(
            "multifieldqa_en",
            "MF-en",
            "single-document",
            "Read the following text and answer briefly.\n\n{context}\n\n"
            "Now, answer the following question based on the above text, only give me the answer "
            "and do not output any other words.\n\nQuestion: {input}\nAnswer:",
            "f1",
        ),
        Task("hotpotqa", "HotpotQA", "multi-document", _MULTI_HOP, "f1"),
        Task("2wikimqa", "2WikiMQA", "multi-document", _MULTI_HOP, "f1"),
        Task("musique", "Musique", "multi-document", _MULTI_HOP, "f1"),
        Task(
            "gov_report",
            "GovReport",
            "summary",
            "You are given a report by a government agency. Write a one-page summary of the "
            "report.\n\nReport:\n{context}\n\n"
            "Now, write a one-page summary of the report.\n\nSummary:",
            "rouge-l",
            instruction="Write a one-page summary of the report.",
        ),
        Task(
            "qmsum",
            "QMSum",
            "summary",
            "You are given a meeting transcript and a query containing a question or instruction. "
            "Answer the query in one or more sentences.\n\nTranscript:\n{context}\n\n"
            "Now, answer the query based on the above meeting transcript in one or more "
            "sentences.\n\nQuery: {input}\nAnswer:",
            "rouge-l",
        ),
        Task(
            "multi_news",
            "MultiNews",
            "summary",
            "You are given several news passages. Write a one-page summary of all news. \n\n"
            "News:\n{context}\n\n"
            "Now, write a one-page summary of all the news.\n\nSummary:",
            "rouge-l",
            instruction="Write a one-page summary of all news.",
        ),
    )
}
"""By LongBench's name, in the order of the published table."""
