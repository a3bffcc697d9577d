"""Slack's SDK, with a shorter way for what a message takes."""

from __future__ import annotations

from typing import Any, cast

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse


class Web(AsyncWebClient):
    """The SDK's client, with a session of its own and no handlers of retries.

    A call with a JSON body is sent as it is. What the SDK looks after for files, forms and retries costs more than
    aiohttp does for the call itself.
    """

    async def api_call(
        self, api_method: str, *, http_verb: str = "POST", json: dict[str, Any] | None = None, **options: Any
    ) -> AsyncSlackResponse:
        """Calls a method of the API. Raises SlackApiError, and what aiohttp raises."""
        if json is None or options or self.session is None:
            return await super().api_call(api_method, http_verb=http_verb, json=json, **options)
        url = self.base_url + api_method
        headers = {
            **self.headers,
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json;charset=utf-8",
        }
        async with self.session.post(url, json=json, headers=headers, proxy=self.proxy) as answer:
            data: Any
            try:
                data = await answer.json()
            except (aiohttp.ContentTypeError, ValueError):
                data = None  # a page of whoever stands between
            response = AsyncSlackResponse(
                client=self,
                http_verb=http_verb,
                api_url=url,
                req_args={"json": json},
                data=data,
                headers=cast("Any", answer.headers),
                status_code=answer.status,
            )
        response.validate()  # type: ignore[no-untyped-call]
        return response
