"""The saga on Restate's Python SDK, as its guide to sagas writes one."""

import restate
from restate import Context, Service, TerminalError

orders = Service("Orders")


async def _step(order: str) -> dict[str, str]:
    return {"order": order}


async def _failing(order: str) -> dict[str, str]:
    raise TerminalError(f"no carrier for {order}")


@orders.handler()
async def happy(context: Context, order: str) -> str:
    """Run three steps that succeed."""
    await context.run_typed("reserve", _step, order=order)
    await context.run_typed("charge", _step, order=order)
    await context.run_typed("ship", _step, order=order)
    return "happy"


@orders.handler()
async def compensated(context: Context, order: str) -> str:
    """Run three steps, the last of which fails, and undo the others."""
    undos: list[str] = []
    try:
        undos.append("release")
        await context.run_typed("reserve", _step, order=order)
        undos.append("refund")
        await context.run_typed("charge", _step, order=order)
        await context.run_typed("ship", _failing, order=order)
    except TerminalError:
        for name in reversed(undos):
            await context.run_typed(name, _step, order=order)
        return "compensated"
    return "happy"


app = restate.app(services=[orders])
