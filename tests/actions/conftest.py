"""A runtime without a network, and the database's clock."""

from tests.staging import clock as clock
from tests.staging import look_ups_follow_each_other as look_ups_follow_each_other
from tests.staging import quiet as quiet
from tests.staging import stage as stage
