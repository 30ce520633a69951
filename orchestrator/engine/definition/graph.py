"""What comes after what: a definition compiled for walking.

A graph is made once per version and process. Positions of step runs are a step's reference with the
rounds of the loops around it (`item@2.1`), so that they can be read back without a separator that
an author could have used.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.engine.canonical import JSONValue
from orchestrator.engine.definition.model import (
    BUILT_IN_POLICY,
    Definition,
    EffectClass,
    Kind,
    Step,
    TaskPolicy,
)
from orchestrator.engine.expressions import mapping
from orchestrator.engine.states import Direction

CONTROL_TYPES = frozenset(
    {"SWITCH", "DECISION", "FORK_JOIN", "FORK_JOIN_DYNAMIC", "JOIN", "EXCLUSIVE_JOIN", "DO_WHILE"}
)
ENGINE_TYPES = CONTROL_TYPES | {
    "SET_VARIABLE",
    "INLINE",
    "LAMBDA",
    "JSON_JQ_TRANSFORM",
    "WAIT",
    "HUMAN",
    "TERMINATE",
    "NOOP",
    "SUB_WORKFLOW",
    "COMPENSATE",
}
"""Types that the engine does itself, without a worker."""
BUILT_IN_CALLS = frozenset({"HTTP"})
"""Types that leave the process and are run by our own workers."""
INSIDE_TYPES = ENGINE_TYPES | {
    "GET_WORKFLOW",
    "PULL_WORKFLOW_MESSAGES",
    "START_WORKFLOW",
    "TERMINATE_WORKFLOW",
    "UPDATE_TASK",
    "WAIT_FOR_WEBHOOK",
    "YIELD",
}


_SCRIPT_KEYS = {"INLINE": "expression", "LAMBDA": "scriptExpression"}
_SCRIPT_DATA = re.compile(r"\$\{\$\.([\w-]+)")


def is_outside(step_type: str) -> bool:
    """Tell whether steps of this type talk to the outside (product.md §3, `effect`)."""
    return step_type not in INSIDE_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A step in its place."""

    step: Step
    direction: Direction = Direction.FORWARD
    owner: str = ""
    """The forward reference that an undo, probe or confirm step belongs to."""
    next: str | None = None
    parent: str | None = None
    """The switch, fork or loop around it."""
    loops: tuple[str, ...] = ()
    """References of the loops around it, outermost first."""
    effect: EffectClass = EffectClass.NONE
    inputs: Mapping[str, JSONValue] = field(default_factory=dict)
    """The template of its input."""
    roots: frozenset[str] = frozenset()
    """Roots that its input mapping reads."""
    undo_roots: frozenset[str] = frozenset()
    """Roots that anything of its undo, probe or confirm reads."""
    undo_reads_output: bool = False
    """The undo cannot be called for an outcome that nobody knows (saga-semantics §8)."""
    fork: str | None = None
    """On a JOIN: the fork right before it."""

    @property
    def reference(self) -> str:
        """The step's reference."""
        return self.step.reference

    @property
    def has_undo(self) -> bool:
        """Tell whether the author attached an undo."""
        return self.step.compensation is not None

    def position(self, rounds: Sequence[int]) -> str:
        """Return the position of this step in these loop rounds."""
        if not rounds:
            return self.step.reference
        return f"{self.step.reference}@{'.'.join(map(str, rounds))}"

    def rounds(self, position: str) -> tuple[int, ...]:
        """Read the loop rounds back from a position."""
        if not self.loops:
            return ()
        return tuple(int(part) for part in position.rpartition("@")[2].split("."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A compiled definition."""

    definition: Definition
    nodes: Mapping[str, Node]
    first: str | None
    joins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Reference → JOINs that wait for it."""
    task_names: frozenset[str] = frozenset()
    """Names whose registered TaskDef may matter."""
    last_of: Mapping[str, str] = field(default_factory=dict)
    """Of a dynamic fork's branches: first reference → last reference."""
    broken: str = ""
    """Of a dynamic fork's branches: why they cannot be run."""

    @property
    def has_blocks(self) -> bool:
        """Tell whether some part is an explicit `saga` block."""
        return any(node.step.saga is not None for node in self.nodes.values())

    @property
    def is_saga(self) -> bool:
        """Tell whether the rules of saga-semantics hold."""
        return self.definition.kind is not Kind.PLAIN


def compile_definition(definition: Definition) -> Graph:
    """Compile a definition; it must have passed `document.parse` without an error."""
    return _compile(definition, definition.tasks, parent=None, loops=())


def compile_branches(
    definition: Definition,
    fork: Node,
    branches: Sequence[Sequence[Step]],
    join: str,
    *,
    broken: str = "",
) -> Graph:
    """Compile the branches of a dynamic fork, which came as data."""
    nodes: dict[str, Node] = {}
    for branch in branches:
        _add_sequence(nodes, definition, branch, parent=fork.reference, loops=fork.loops)
    joins = {branch[-1].reference: (join,) for branch in branches if branch}
    return Graph(
        definition=definition,
        nodes=nodes,
        first=None,
        joins=_joins(nodes.values()) | joins,
        last_of={branch[0].reference: branch[-1].reference for branch in branches if branch},
        task_names=frozenset(node.step.name for node in nodes.values()),
        broken=broken,
    )


def policy_of(step: Step, registered: Mapping[str, TaskPolicy]) -> TaskPolicy:
    """Return the TaskDef that holds for a step: inline, registered, or Conductor's defaults."""
    found = step.task_policy or registered.get(step.name)
    if found is not None:
        return found
    if step.type in ENGINE_TYPES or step.type in BUILT_IN_CALLS:
        return BUILT_IN_POLICY
    return TaskPolicy(name=step.name)


def inner_steps(steps: Iterable[Step]) -> Iterator[Step]:
    """Walk all forward steps below, depth first, in the order written."""
    pending = list(reversed(tuple(steps)))
    while pending:
        step = pending.pop()
        yield step
        below = [
            inner
            for sequence in (*step.cases.values(), step.default_case, *step.branches, step.body)
            for inner in sequence
        ]
        pending.extend(reversed(below))


def _compile(
    definition: Definition, steps: Sequence[Step], *, parent: str | None, loops: tuple[str, ...]
) -> Graph:
    nodes: dict[str, Node] = {}
    _add_sequence(nodes, definition, steps, parent=parent, loops=loops)
    return Graph(
        definition=definition,
        nodes=nodes,
        first=steps[0].reference if steps else None,
        joins=_joins(nodes.values()),
        task_names=frozenset(node.step.name for node in nodes.values()),
    )


def _add_sequence(
    nodes: dict[str, Node],
    definition: Definition,
    steps: Sequence[Step],
    *,
    parent: str | None,
    loops: tuple[str, ...],
) -> None:
    # An explicit stack: definitions may be nested deeper than Python's own is wise to go.
    pending: list[tuple[Sequence[Step], str | None, tuple[str, ...]]] = [(steps, parent, loops)]
    while pending:
        sequence, parent, loops = pending.pop()
        for index, step in enumerate(sequence):
            following = sequence[index + 1] if index + 1 < len(sequence) else None
            before = sequence[index - 1] if index else None
            nodes[step.reference] = _node(definition, step, following, before, parent, loops)
            _add_attached(nodes, step, loops)
            inner_loops = (*loops, step.reference) if step.type == "DO_WHILE" else loops
            pending.extend(
                (inner, step.reference, inner_loops)
                for inner in (*step.cases.values(), step.default_case, *step.branches, step.body)
                if inner
            )


def _node(
    definition: Definition,
    step: Step,
    following: Step | None,
    before: Step | None,
    parent: str | None,
    loops: tuple[str, ...],
) -> Node:
    forks = before is not None and before.type in {"FORK_JOIN", "FORK_JOIN_DYNAMIC"}
    return Node(
        step=step,
        next=following.reference if following else None,
        parent=parent,
        loops=loops,
        effect=_effect(definition, step),
        inputs=_inputs(definition, step),
        roots=_roots(step, _inputs(definition, step)),
        undo_roots=_undo_roots(step),
        undo_reads_output=_undo_reads_output(step),
        fork=before.reference if before is not None and forks and step.type == "JOIN" else None,
    )


def _add_attached(nodes: dict[str, Node], step: Step, loops: tuple[str, ...]) -> None:
    """Give the undo, probe and confirm steps nodes of their own."""
    attached: list[tuple[Direction, Sequence[Step]]] = [(Direction.CONFIRM, step.confirm)]
    if step.compensation is not None:
        attached.append((Direction.COMPENSATION, step.compensation.tasks))
        attached.append((Direction.COMPENSATION, step.compensation.alternate))
    if step.probe is not None:
        attached.append((Direction.PROBE, (step.probe,)))
    for direction, sequence in attached:
        for index, task in enumerate(sequence):
            following = sequence[index + 1].reference if index + 1 < len(sequence) else None
            nodes[task.reference] = Node(
                step=task,
                direction=direction,
                owner=step.reference,
                next=following,
                loops=loops,
                inputs=task.inputs,
                roots=_roots(task, task.inputs),
            )


def _effect(definition: Definition, step: Step) -> EffectClass:
    if step.effect is not None:
        return step.effect
    if step.compensation is not None:
        return EffectClass.REVERSIBLE
    if definition.kind is not Kind.PLAIN and is_outside(step.type):
        return EffectClass.IRREVERSIBLE
    return EffectClass.NONE


def _inputs(definition: Definition, step: Step) -> Mapping[str, JSONValue]:
    """Return the template of a step's input; in a script, `${$.x}` is JavaScript's own.

    It belongs to our expressions only where `x` is a root of them: `$.` stands for the script's
    data everywhere else.
    """
    key = _SCRIPT_KEYS.get(step.type)
    text = step.inputs.get(key) if key else None
    if key is None or not isinstance(text, str) or "${$." not in text:
        return step.inputs
    known = {"workflow", *(inner.reference for inner in inner_steps(definition.tasks))}

    def guarded(match: re.Match[str]) -> str:
        return match[0] if match[1] in known else "$" + match[0]

    return {**step.inputs, key: _SCRIPT_DATA.sub(guarded, text)}


def _roots(step: Step, inputs: Mapping[str, JSONValue]) -> frozenset[str]:
    templates: list[JSONValue] = [dict(inputs), step.items]
    if step.task_policy is not None:
        templates.append(dict(step.task_policy.input_template))
    if step.sub_workflow is not None:
        sub = step.sub_workflow
        templates += [sub.name, sub.version, sub.definition, sub.priority]
    return mapping.roots(templates)


def _undo_templates(step: Step) -> list[JSONValue]:
    attached = [*step.confirm, *([step.probe] if step.probe else [])]
    if step.compensation is not None:
        attached += [*step.compensation.tasks, *step.compensation.alternate]
    return [dict(task.inputs) for task in attached]


def _undo_roots(step: Step) -> frozenset[str]:
    templates = _undo_templates(step)
    if step.amount is not None:
        templates += [step.amount.value, step.amount.currency]
    return mapping.roots(templates)


def _undo_reads_output(step: Step) -> bool:
    if step.compensation is None:
        return False
    undo = step.compensation
    templates: list[JSONValue] = [dict(task.inputs) for task in (*undo.tasks, *undo.alternate)]
    templates += [moment.at for moment in (undo.not_before, undo.not_after) if moment is not None]
    return any(
        path[0] == step.reference and (len(path) == 1 or path[1] == "output")
        for path in mapping.reads(templates)
    )


def _joins(nodes: Iterable[Node]) -> dict[str, tuple[str, ...]]:
    waiting: dict[str, tuple[str, ...]] = {}
    for node in nodes:
        if node.step.type == "JOIN":
            for reference in node.step.join_on:
                waiting[reference] = (*waiting.get(reference, ()), node.reference)
    return waiting
