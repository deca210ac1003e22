"""Papers: what people wrote or showed about a case, locked with the case's own key and forgotten with its person.

Notes, reasons, masked accounts, links to an enterprise's own check, statements. Events carry a paper's id only.
"""

from __future__ import annotations

import hashlib
import hmac
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, insert, select

from domain.case import root
from store.ids import new_paper_id, paper_id_of
from store.keys import NONCE_BYTES, KeyRing
from store.tables import papers
from store.vault import case_key


def put(connection: Connection, keys: KeyRing, case: str, text: str, paper: str = "") -> str:
    """Lock a text away; its id, a new one unless it is given. Raises NotInVault when the case's person is forgotten."""
    owner, paper = root(case), paper or new_paper_id()
    nonce = os.urandom(NONCE_BYTES)
    box = nonce + AESGCM(case_key(connection, keys, owner)).encrypt(nonce, text.encode(), _bound(owner, paper))
    connection.execute(insert(papers), {"paper_id": paper, "case_id": owner, "box": box})
    return paper


def keep(connection: Connection, keys: KeyRing, case: str, text: str) -> str:
    """The same for what may come again and again: a text that is there already keeps the id it has.

    The id is a digest under the case's own key, so that it says nothing once the person is forgotten.
    """
    owner = root(case)
    secret = case_key(connection, keys, owner)
    paper = paper_id_of(hmac.new(secret, b"paper/" + text.encode(), hashlib.sha256).digest())
    there = select(papers.c.paper_id).where(papers.c.paper_id == paper, papers.c.case_id == owner)
    if connection.execute(there).scalar_one_or_none() is None:
        put(connection, keys, case, text, paper)
    return paper


def get(connection: Connection, keys: KeyRing, case: str, paper: str) -> str:
    """A paper of this case. Raises KeyError if it has none of this id, NotInVault when its person is forgotten."""
    owner = root(case)
    found = select(papers.c.box).where(papers.c.paper_id == paper, papers.c.case_id == owner)
    box = connection.execute(found).scalar_one_or_none()
    if box is None:
        raise KeyError(paper)
    cipher = AESGCM(case_key(connection, keys, owner))
    return cipher.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], _bound(owner, paper)).decode()


def _bound(case: str, paper: str) -> bytes:
    return f"{case}/{paper}".encode()
