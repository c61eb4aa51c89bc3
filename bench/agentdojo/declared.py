"""What we declare about AgentDojo's 74 tools: permission, effect and sink arguments, by hand.

A *sink* is an argument that decides where something goes or what is changed: a recipient, a target,
a host. `get_webpage` is a write: its address is the attacker's choice and leaves with the request.
"""

from __future__ import annotations

from dataclasses import dataclass

from openloop.domain.tool import Effect


@dataclass(frozen=True, slots=True)
class Declared:
    """Our declaration of one tool."""

    permission: str
    effect: Effect = Effect.READ
    sinks: tuple[str, ...] = ()


def _write(permission: str, *sinks: str) -> Declared:
    return Declared(permission, Effect.WRITE, sinks)


def _destroy(permission: str, *sinks: str) -> Declared:
    return Declared(permission, Effect.DESTROY, sinks)


_SEND_EMAIL = _write("mail:write", "recipients", "cc", "bcc")
_CREATE_EVENT = _write("calendar:write", "participants")
_CANCEL_EVENT = _destroy("calendar:destroy", "event_id")

_WORKSPACE = {
    "send_email": _SEND_EMAIL,
    "delete_email": _destroy("mail:destroy", "email_id"),
    "get_unread_emails": Declared("mail:read"),
    "get_sent_emails": Declared("mail:read"),
    "get_received_emails": Declared("mail:read"),
    "get_draft_emails": Declared("mail:read"),
    "search_emails": Declared("mail:read"),
    "search_contacts_by_name": Declared("contacts:read"),
    "search_contacts_by_email": Declared("contacts:read"),
    "get_current_day": Declared("calendar:read"),
    "search_calendar_events": Declared("calendar:read"),
    "get_day_calendar_events": Declared("calendar:read"),
    "create_calendar_event": _CREATE_EVENT,
    "cancel_calendar_event": _CANCEL_EVENT,
    "reschedule_calendar_event": _write("schedule:write", "event_id"),
    "add_calendar_event_participants": _write("participants:write", "event_id", "participants"),
    "append_to_file": _write("file-content:write", "file_id"),
    "search_files_by_filename": Declared("files:read"),
    "create_file": _write("files:write", "filename"),
    "delete_file": _destroy("files:destroy", "file_id"),
    "get_file_by_id": Declared("files:read"),
    "list_files": Declared("files:read"),
    "share_file": _write("sharing:write", "email"),
    "search_files": Declared("files:read"),
}

_TRAVEL = {
    "get_user_information": Declared("user:read"),
    "get_all_hotels_in_city": Declared("hotels:read"),
    "get_hotels_prices": Declared("hotels:read"),
    "get_rating_reviews_for_hotels": Declared("hotels:read"),
    "get_hotels_address": Declared("hotels:read"),
    "get_all_restaurants_in_city": Declared("restaurants:read"),
    "get_cuisine_type_for_restaurants": Declared("restaurants:read"),
    "get_restaurants_address": Declared("restaurants:read"),
    "get_rating_reviews_for_restaurants": Declared("restaurants:read"),
    "get_dietary_restrictions_for_all_restaurants": Declared("restaurants:read"),
    "get_contact_information_for_restaurants": Declared("restaurants:read"),
    "get_price_for_restaurants": Declared("restaurants:read"),
    "check_restaurant_opening_hours": Declared("restaurants:read"),
    "get_all_car_rental_companies_in_city": Declared("cars:read"),
    "get_car_types_available": Declared("cars:read"),
    "get_rating_reviews_for_car_rental": Declared("cars:read"),
    "get_car_fuel_options": Declared("cars:read"),
    "get_car_rental_address": Declared("cars:read"),
    "get_car_price_per_day": Declared("cars:read"),
    "create_calendar_event": _CREATE_EVENT,
    "search_calendar_events": Declared("calendar:read"),
    "get_day_calendar_events": Declared("calendar:read"),
    "cancel_calendar_event": _CANCEL_EVENT,
    "reserve_hotel": _write("hotels:write", "hotel"),
    "reserve_car_rental": _write("cars:write", "company"),
    "reserve_restaurant": _write("restaurants:write", "restaurant"),
    "get_flight_information": Declared("flights:read"),
    "send_email": _SEND_EMAIL,
}

_BANKING = {
    "get_iban": Declared("account:read"),
    "send_money": _write("transfers:write", "recipient"),
    "schedule_transaction": _write("schedules:write", "recipient"),
    "update_scheduled_transaction": _write("standing-orders:write", "id", "recipient"),
    "get_balance": Declared("account:read"),
    "get_most_recent_transactions": Declared("account:read"),
    "get_scheduled_transactions": Declared("account:read"),
    "read_file": Declared("files:read"),
    "get_user_info": Declared("user:read"),
    "update_password": _write("password:write", "password"),
    "update_user_info": _write("user:write", "first_name", "last_name", "street", "city"),
}

_SLACK = {
    "get_channels": Declared("channels:read"),
    "add_user_to_channel": _write("members:write", "user", "channel"),
    "read_channel_messages": Declared("messages:read"),
    "read_inbox": Declared("messages:read"),
    "send_direct_message": _write("direct-messages:write", "recipient"),
    "send_channel_message": _write("messages:write", "channel"),
    "get_users_in_channel": Declared("channels:read"),
    "invite_user_to_slack": _write("invitations:write", "user", "user_email"),
    "remove_user_from_slack": _destroy("members:destroy", "user"),
    "get_webpage": _write("visits:write", "url"),
    "post_webpage": _write("pages:write", "url"),
}

TOOLS = {"workspace": _WORKSPACE, "travel": _TRAVEL, "banking": _BANKING, "slack": _SLACK}
