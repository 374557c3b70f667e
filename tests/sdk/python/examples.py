"""Runs each kind of example of the InteractiveAI SDK, or of Langfuse's, and says as JSON which spans it made
and what the SDK returned.

SDK says which; where to is said by INTERACTIVEAI_BASE_URL or LANGFUSE_BASE_URL. What an SDK asks beyond OTLP (the
project behind a trace URL, scores, prompts) is asked where PLATFORM says that there is one.
"""

import asyncio
import importlib
import json
import os

from opentelemetry import propagate, trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SDK = os.environ.get("SDK", "interactiveai")
PLATFORM = "PLATFORM" in os.environ
sdk = importlib.import_module(SDK)
Interactive = sdk.Interactive if SDK == "interactiveai" else sdk.Langfuse
observe, propagate_attributes = sdk.observe, sdk.propagate_attributes
QUESTION = "What's the weather in Madrid?"
ANSWER = "In Madrid, it is currently partly cloudy with a temperature of around 6°C (43°F)."
REMOTE = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "parent_span_id": "b7ad6b7169203331"}

client = Interactive(
    public_key="pk-lf-fake", secret_key="sk-lf-fake", environment="staging", release="v2.1.0-rc1"
)
# The provider the SDK has made, with what it says of environment and release on its resource.
provider = trace.get_tracer_provider()
witness = InMemorySpanExporter()
provider.add_span_processor(SimpleSpanProcessor(witness))


def observation(name, **options):
    return client.start_as_current_observation(name=name, **{"as_type": "span", **options})


def context_manager():
    with observation("your-trace-name", input={"user_query": QUESTION}) as span:
        span.update(output={"final_response": ANSWER})


def observed():
    @observe
    def get_weather_response(question):
        return {"t": 6, "q": question}

    get_weather_response(QUESTION)


def observed_named_async():
    @observe(name="weather-lookup")
    def lookup(question):
        return "ok"

    @observe(name="weather-lookup")
    async def lookup_async(question):
        return "ok-async"

    lookup(QUESTION)
    asyncio.run(lookup_async(QUESTION))


def trace_facts():
    return {
        "name": "weather-query",
        "user_id": "user-123",
        "session_id": "session-abc",
        "tags": ["production", "weather"],
        "metadata": {"source": "web-app", "app_version": "2.1.0"},
    }


def update_trace():
    with observation("user-request") as span:
        span.update_trace(**trace_facts(), input={"query": QUESTION})
        span.update(output={"response": "..."})


def update_current_trace():
    with observation("user-request"):
        client.update_current_trace(**trace_facts())


def observed_update_current_trace():
    @observe(as_type="generation")
    def process_query(question):
        return "cloudy"

    @observe
    def handle_request(user, question):
        client.update_current_trace(**trace_facts())
        return process_query(question)

    handle_request("user-123", QUESTION)


def propagated_attributes():
    @observe(as_type="generation")
    def process_query(question):
        client.update_current_generation(
            model="gpt-4o-mini",
            model_parameters={"temperature": 0.2, "max_tokens": 256},
            usage_details={"input": 20, "input_cached_tokens": 100, "output": 20},
            cost_details={"input": 1.05e-05, "output": 1.8e-05, "total": 2.85e-05},
        )
        return ANSWER

    @observe
    def handle_request(user, session, question):
        with propagate_attributes(
            user_id=user, session_id=session, tags=["production", "weather"], metadata={"source": "web-app"}
        ):
            return process_query(question)

    handle_request("user-123", "session-abc", QUESTION)


def deterministic_id():
    own = Interactive.create_trace_id(seed="your-trace-id")
    assert own == "f21c0b8fc2d39e41c10b1fdb8024101b", own
    with observation("your-trace-name", trace_context={"trace_id": own}, input=QUESTION):
        assert client.get_current_trace_id() == own
        return {"trace": client.get_current_trace_id()}


def deterministic_observed():
    @observe
    def process_request(request, question):
        return {"trace": client.get_current_trace_id()}

    own = Interactive.create_trace_id(seed="another-trace-id")
    told = process_request("another-trace-id", QUESTION, **{f"{SDK}_trace_id": own})
    assert told == {"trace": own}, told
    return told


def distributed_context():
    with observation("your-trace-name", trace_context=REMOTE):
        pass


def distributed_observed():
    @observe(name="downstream-service")
    def query(sql):
        return [1, 2]

    query(
        "SELECT * FROM users",
        **{
            f"{SDK}_trace_id": Interactive.create_trace_id(seed="distributed"),
            f"{SDK}_parent_observation_id": REMOTE["parent_span_id"],
        },
    )


def trace_url():
    with observation("process-request"):
        own = client.get_current_trace_id()
        assert own and client.get_current_observation_id()
        if PLATFORM:
            known = Interactive.create_trace_id(seed="your-trace-id")
            url = client.get_trace_url()
            return {"url": url.replace(own, "OWN"), "specific": client.get_trace_url(trace_id=known)}


def all_types_and_levels():
    with observation("planner", as_type="agent", input="plan", level="DEBUG", version="wf-7"):
        with observation("db.query", as_type="tool", input={"sql": "SELECT 1"}) as tool:
            tool.update(output=[1], level="WARNING", status_message="slow")
        with observation("vector-search", as_type="retriever", input="q", output=["doc1"]):
            pass
        with observation("answer", as_type="generation", model="gpt-4o-mini", output=ANSWER):
            pass
        with observation("embed", as_type="embedding", input="q", usage_details={"input": 5}):
            pass
        with observation("check", as_type="evaluator"), observation("fence", as_type="guardrail"):
            client.create_event(name="cache-miss", input={"k": 1}, metadata={"shard": "3"})
        try:
            with observation("will-fail", as_type="chain"):
                raise ValueError("boom")
        except ValueError:
            pass


def scored():
    with observation("scored") as span:
        if PLATFORM:
            span.score(name="relevance", value=0.92, data_type="NUMERIC", comment="ok")
            span.score_trace(name="correct", value=True, data_type="BOOLEAN")
            client.score_current_trace(name="sentiment", value="positive", data_type="CATEGORICAL")
    if PLATFORM:
        own = Interactive.create_trace_id(seed="your-trace-id")
        client.create_score(trace_id=own, name="by-id", value=0.5, data_type="NUMERIC")


def prompt():
    if PLATFORM:
        got = client.get_prompt("movie-critic", label="production")
        return {"name": got.name, "version": got.version, "text": got.compile(movie="Dune")}


def what_is_not_there():
    if PLATFORM:
        try:
            client.get_prompt("no-such-prompt", max_retries=0)
        except Exception as error:
            return {"error": type(error).__name__, "status": error.status_code, "body": error.body}


def baggage():
    with observation("svc-a-root"), propagate_attributes(
        user_id="user-123", session_id="session-abc", tags=["a", "b,c"], trace_name="q", as_baggage=True
    ):
        with observation("svc-a-child"):
            pass
        carrier = {}
        propagate.inject(carrier)
        assert "langfuse_user_id" in carrier["baggage"], carrier
    tracer = provider.get_tracer("svc-b")
    tracer.start_span("svc-b-root", context=propagate.extract(carrier)).end()


def metadata_types():
    metadata = {"s": "text", "num_s": "123", "n": 1, "f": 1.5, "b": True, "o": {"k": "v"}, "none": None}
    with observation("big-io", input={"blob": "x" * 2000, "nested": {"a": [1, 2.5, None]}}, metadata=metadata):
        pass


EXAMPLES = [
    (context_manager, ["your-trace-name"]),
    (observed, ["get_weather_response"]),
    (observed_named_async, ["weather-lookup", "weather-lookup"]),
    (update_trace, ["user-request"]),
    (update_current_trace, ["user-request"]),
    (observed_update_current_trace, ["handle_request", "process_query"]),
    (propagated_attributes, ["handle_request", "process_query"]),
    (deterministic_id, ["your-trace-name"]),
    (deterministic_observed, ["process_request"]),
    (distributed_context, ["your-trace-name"]),
    (distributed_observed, ["downstream-service"]),
    (trace_url, ["process-request"]),
    (
        all_types_and_levels,
        "answer cache-miss check db.query embed fence planner vector-search will-fail".split(),
    ),
    (scored, ["scored"]),
    (prompt, []),
    (what_is_not_there, []),
    (baggage, ["svc-a-child", "svc-a-root", "svc-b-root"]),
    (metadata_types, ["big-io"]),
]

if not hasattr(client, "update_current_trace"):
    gone = [update_trace, update_current_trace, observed_update_current_trace]
    EXAMPLES = [(example, names) for example, names in EXAMPLES if example not in gone]

spans, returned = [], {}
for example, names in EXAMPLES:
    witness.clear()
    returned[example.__name__] = example()
    made = witness.get_finished_spans()
    assert sorted(span.name for span in made) == names, (example.__name__, [span.name for span in made])
    spans += [
        {
            "example": example.__name__,
            "name": span.name,
            "trace": trace.format_trace_id(span.context.trace_id),
            "span": trace.format_span_id(span.context.span_id),
            "parent": trace.format_span_id(span.parent.span_id) if span.parent else "",
            "attributes": len(span.attributes),
        }
        for span in made
    ]
client.flush()
provider.shutdown()
print(json.dumps({"spans": spans, "returned": returned}))
