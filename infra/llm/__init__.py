"""Client of Claude: one question, one validated answer.

    async with connect(settings, redis, partial(publisher.produce, LLM_CALLS)) as llm:
        answer = await llm.ask(Prompt(system=…, user=…, answer=Scores, purpose="score", version="1", user_id=…))

Calls stay within limits of time, rate and cost.
"""

from infra.llm.llm_error import LlmError, Reason
from infra.llm.prompt import Prompt, PromptAnswer

__all__ = ["LlmError", "Prompt", "PromptAnswer", "Reason"]
