"""The settings of a `webhook` trigger: how a delivery to the workflow's own URL is proved, named and answered.

The words are those of sources. What of the settings names the URL is `identity`: how a delivery is proved, and the hook's
own name. So an answer is rewritten without any sender having to learn a new URL, and a URL never changes what proves it.
Next: `hooks.py`, which makes what a revision keeps of them.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from shared.domain.errors import Flaw, InvalidInput
from shared.domain.hooks import HookAnswer

WAIT_SECONDS_MAX: Final = 30
"""Longer than that many senders give up by themselves."""
STATUSES_WITHOUT_BODY: Final = frozenset({204, 205})


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HmacSignature(_Part):
    """An HMAC over the raw body, in a header."""

    header: str = Field(
        description="The header's name.", examples=["X-Signature"], pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"
    )
    algorithm: Literal["sha256", "sha512", "sha1"] = Field("sha256", description="The hash of the HMAC.")
    encoding: Literal["hex", "base64"] = Field("hex", description="How the HMAC is printed; hex in lower case.")
    prefix: str = Field("", max_length=50, description="What stands before it in the header, such as `sha256=`.")


class AnswerSettings(_Part):
    """The caller waits for the run to end, and is given what it made."""

    wait_seconds: float = Field(ge=0, le=WAIT_SECONDS_MAX, description="At most; then a 202 says where the run is.")
    status: int = Field(200, ge=200, le=299, description="Of the answer, where the run succeeds.")
    body: object = Field(None, description="A template over steps, run and event; default: the run in short.")

    @model_validator(mode="after")
    def _room_for_a_body(self) -> Self:
        if self.status in STATUSES_WITHOUT_BODY and self.body is not None:
            raise ValueError(f"an answer of status {self.status} has no body; leave the body out, or answer 200")
        return self


_WORD, _HMAC = "in a word", "in full"
_Signature = Annotated[
    Annotated[Literal["standard", "none"], Tag(_WORD)] | Annotated[HmacSignature, Tag(_HMAC)],
    Discriminator(lambda value: _HMAC if isinstance(value, Mapping | HmacSignature) else _WORD),
]


class WebhookSettings(_Part):
    """Without any settings: Standard Webhooks, with a secret of the hook's own."""

    name: str = Field(
        "", pattern=r"^[a-z0-9_-]{0,40}$", description="Tells the hooks of one workflow apart, where it has several."
    )
    signature: _Signature | None = Field(
        None, description="standard: as Standard Webhooks says; {header, …}: an HMAC; none: anybody may send."
    )
    path_token: bool = Field(False, description="The sender cannot sign: the secret is the URL's last segment instead.")
    id_path: str | None = Field(
        None, min_length=1, max_length=200, description="Where the payload names itself: keys joined by dots."
    )
    answer: AnswerSettings | None = Field(None, description="Without it the caller is answered 202 at once.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.signature is not None and self.path_token:
            raise ValueError("give signature or path_token, not both")
        return self

    @property
    def identity(self) -> dict[str, object]:
        """What names the URL."""
        return {"name": self.name, "vendor": self.vendor, "settings": self.source_settings}

    @property
    def signed(self) -> bool:
        """Whether deliveries are proved at all."""
        return self.signature != "none"

    @property
    def vendor(self) -> str:
        """Whose way of proving a delivery it is, as a source's."""
        standard = not self.path_token and self.signature in (None, "standard")
        return "standardwebhooks" if standard else "generic"

    @property
    def source_settings(self) -> dict[str, object]:
        """The settings of a source of that vendor."""
        if self.path_token:
            return {"path_token": True}
        if isinstance(self.signature, HmacSignature):
            return {"signature": self.signature.model_dump(mode="json")}
        return {}

    @property
    def hook_answer(self) -> HookAnswer | None:
        """How the caller is answered, as a record holds it."""
        said = self.answer
        return HookAnswer(wait_seconds=said.wait_seconds, status=said.status, body=said.body) if said else None


def parse_webhook(value: object) -> WebhookSettings:
    """Raises InvalidInput with a flaw per place, pointers relative to the settings."""
    if value is not None and not isinstance(value, Mapping):
        detail = "write {} for a URL of its own, proved as Standard Webhooks says, or its settings"
        raise InvalidInput("not a webhook trigger", [Flaw(pointer="#", detail=detail)])
    try:
        return WebhookSettings.model_validate(value or {})
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        raise InvalidInput(
            "not a webhook trigger", [_flaw(each["loc"], each["type"], each["msg"]) for each in found]
        ) from None


def _flaw(location: tuple[str | int, ...], kind: str, message: str) -> Flaw:
    path = [str(each).replace("~", "~0").replace("/", "~1") for each in location if each not in (_WORD, _HMAC)]
    if location[:2] == ("signature", _WORD):
        message = "write standard, none, or {header, algorithm, encoding, prefix}"
    elif kind == "extra_forbidden":
        message = "there is no such field here; remove it or mend its spelling"
    elif kind == "missing":
        message = "this field is needed"
    return Flaw(pointer="/".join(("#", *path)), detail=message.removeprefix("Value error, ").replace("Input", "this"))
