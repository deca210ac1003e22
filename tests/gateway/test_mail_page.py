"""The page behind a mailed link: answered by a person, useless to everybody else."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from store.links import Link
from tests.gateway.conftest import Doors
from tests.support import eventually


async def opened(doors: Doors) -> tuple[str, str, str, str]:
    """A case with a mail enterprise: its reference, its item, the link's path and the page."""
    case = await doors.running(apps=["mail-0-app"])
    await eventually(lambda: doors.house.mailer.mails)
    found = re.search(r"http://us(/m/\S+)", doors.house.mailer.mails[0][2])
    assert found
    page = await doors.http.get(found[1])
    assert page.status_code == 200
    return case, doors.house.item(case, "mail-0").id, found[1], page.text


def hidden(page: str) -> dict[str, str]:
    """The form's hidden fields."""
    return dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]+)"', page))


async def test_a_person_answers_and_corrects(doors: Doors) -> None:
    case, item, path, page = await opened(doors)
    assert "13800138000" not in page and f'name="outcome-{item}"' in page
    done = await doors.http.post(path, data={**hidden(page), f"outcome-{item}": "not_found/no_binding"})
    assert done.status_code == 200 and "已记录 1 项" in done.text
    assert doors.house.states(case) == {"mail-0": "not_found"}
    fixed = await doors.http.post(path, data={**hidden(done.text), f"outcome-{item}": "unbound"})
    assert "已记录 1 项" in fixed.text and doors.house.item(case, "mail-0").version == 2


async def test_a_stale_page_does_not_overwrite_a_colleague_s_answer(doors: Doors) -> None:
    case, item, path, page = await opened(doors)
    assert (await doors.http.post(path, data={**hidden(page), f"outcome-{item}": "unbound"})).status_code == 200
    stale = await doors.http.post(path, data={**hidden(page), f"outcome-{item}": "not_found/no_binding"})
    assert stale.status_code == 422 and "此项已有人反馈" in stale.text
    assert doors.house.states(case) == {"mail-0": "unbound"}
    meant = await doors.http.post(path, data={**hidden(stale.text), f"outcome-{item}": "not_found/no_binding"})
    assert meant.status_code == 200 and doors.house.states(case) == {"mail-0": "not_found"}


async def test_bad_choices_are_said_beside_the_row_and_nothing_is_lost(doors: Doors) -> None:
    case, item, path, page = await opened(doors)
    empty = await doors.http.post(path, data={**hidden(page), f"outcome-{item}": ""})
    assert empty.status_code == 200 and doors.house.states(case) == {"mail-0": "delivered"}
    bad = await doors.http.post(path, data={**hidden(page), f"outcome-{item}": "exempt"})
    assert bad.status_code == 422 and f'id="error-{item}"' in bad.text
    assert "此结果需要选择原因" in bad.text
    odd = await doors.http.post(path, data={**hidden(page), f"version-{item}": "x", f"outcome-{item}": "unbound"})
    assert odd.status_code == 422
    for word in ("x", "伪造"):
        forged = await doors.http.post(path, data={"csrf": word, f"outcome-{item}": "unbound"})
        assert forged.status_code == 403 and doors.house.states(case) == {"mail-0": "delivered"}


async def test_link_is_for_one_enterprise_one_request_and_a_while(doors: Doors) -> None:
    case, _, path, page = await opened(doors)
    part = f"{case}-unbind-0"
    expired = Link("mail-0", part, datetime.now(UTC) - timedelta(seconds=1)).sign(doors.house.keys)
    word = path.removeprefix("/m/")
    for bad in (expired, word[:-3], word[:20] + ("A" if word[20] != "A" else "B") + word[21:], "rubbish", "%00"):
        answer = await doors.http.get(f"/m/{bad}")
        assert answer.status_code == 410 and "链接不完整" in answer.text and "This link" not in answer.text
    assert "script" not in page.lower()
    assert "unsafe-inline" not in (await doors.http.get(path)).headers["content-security-policy"]
