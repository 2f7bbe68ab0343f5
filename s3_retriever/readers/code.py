"""Source code and settings: text as it is; its units follow its lines."""

from __future__ import annotations

from s3_retriever.readers.base import Reader
from s3_retriever.readers.text import plain_content

__all__ = ["READER"]

_SUFFIXES = (
    ".adoc .asm .bash .bat .bib .c .cc .cfg .clj .cmake .cmd .conf .cpp .cs .css .cu .cxx .dart "
    ".el .erl .ex .exs .f90 .fish .fs .go .gradle .graphql .groovy .h .hh .hpp .hrl .hs .hxx .ini "
    ".java .jl .js .jsx .kt .kts .less .lisp .log .lua .m .mjs .mk .ml .mli .mm .nix .nim .org "
    ".php .pl .pm .properties .proto .ps1 .py .pyi .pyx .r .rb .rs .sass .scala .scm .scss .sh "
    ".sql .svelte .swift .tcl .tex .tf .toml .ts .tsx .v .vb .vhd .vue .xml .yaml .yml .zig .zsh"
)

READER = Reader(tuple(_SUFFIXES.split()), plain_content)
"""No title: the first line that looks like a heading is a comment."""
