"""Rings when a transaction with news is committed: not before, as there is nothing to see, and not if it is undone."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session, sessionmaker

from app.bells import Kind, ring

NEWS = "news"


def has_news(session: Session, kind: Kind) -> None:
    """Have these bells rung once what the session has done so far is there for others to see."""
    session.info.setdefault(NEWS, set()).add(kind)


def ring_at_commit(sessions: sessionmaker[Session], folder: Path) -> None:
    """Have all sessions of this factory ring the bells in `folder`."""

    def tell(session: Session) -> None:
        for kind in sorted(session.info.pop(NEWS, ())):
            ring(folder, kind)

    def forget(session: Session) -> None:
        session.info.pop(NEWS, None)

    sa.event.listen(sessions, "after_commit", tell)
    sa.event.listen(sessions, "after_rollback", forget)
