// What Slack's own types say of each thing that passes between Slack and the app. The checked values
// are written as literals of these types, so that a field they do not name is an error as well.

import type { BlockAction, ButtonAction } from '@slack/bolt/dist/types/actions/block-action';
import type { EnvelopedEvent } from '@slack/bolt/dist/types/events';
import type * as slack from '@slack/types';
import type * as api from '@slack/web-api';

// --- Making the types exact -------------------------------------------------------------------

/** The named fields only: an index signature would let any other through. */
type Named<T> = { [K in keyof T as string extends K ? never : number extends K ? never : K]: T[K] };

/** Enumerations are written as their values in JSON. */
type Wire<T> = 0 extends 1 & T
  ? T
  : T extends string
    ? `${T}`
    : T extends number | boolean | null | undefined
      ? T
      : T extends (infer Item)[]
        ? Wire<Item>[]
        : { [K in keyof T]: Wire<T[K]> };

/** A form or a query holds text: numbers and flags are written out in it. */
type Form<T> = T extends unknown
  ? { [K in keyof T]: T[K] extends number | boolean | undefined ? T[K] | string : T[K] }
  : never;

/** `Block` alone would let any `type` through. */
type KnownBlocks = { blocks?: slack.KnownBlock[] };

type Answer<T> = Omit<Wire<T>, 'response_metadata' | 'message' | 'messages'> & {
  ok: true;
  response_metadata?: { next_cursor: string };
} & (T extends { message?: infer M } ? { message: Kept<NonNullable<M>> } : unknown) &
  (T extends { messages?: (infer M)[] } ? { messages: Kept<M>[] } : unknown);

// --- Where Slack sends more than its types say ----------------------------------------------------

/**
 * The answers' types are made from samples, which had not every block, nor the `client_msg_id` that
 * is on every message of a person.
 */
type Kept<M> = Omit<Wire<M>, 'blocks'> & KnownBlocks & { client_msg_id?: string };

/** A direct message says with whom it is. */
type Direct = { channel: { user?: string } };

/** An app's messages carry its id, and a message says whose organisation its author is from. */
type FromApps = { app_id?: string; user_team?: string; source_team?: string };
type Profile = { user_profile?: slack.AppMentionEvent['user_profile'] };

type Pressed = ButtonAction & { style?: 'primary' | 'danger' };

/** The types ask for `subtype: undefined`, which no JSON can hold. */
type Said = Omit<slack.GenericMessageEvent, 'subtype'> & FromApps & Profile & KnownBlocks;

/** Inside another event a message has neither channel nor event time. */
type Quoted = Omit<Said, 'channel' | 'channel_type' | 'event_ts'> & { subtype?: 'tombstone' };

type Enveloped<E> = Omit<Named<EnvelopedEvent<E>>, 'context_enterprise_id' | 'authorizations'> & {
  context_enterprise_id?: string | null;
  event_context: string;
  authorizations: (Omit<NonNullable<EnvelopedEvent['authorizations']>[number], 'enterprise_id'> & {
    enterprise_id: string | null;
  })[];
};

// --- What is checked, by name ---------------------------------------------------------------------

export interface Requests {
  'agents.sessions.setStatus': api.AgentsSessionsSetStatusArguments;
  'apps.connections.open': Record<string, never>;
  'assistant.threads.setStatus': api.AssistantThreadsSetStatusArguments;
  'auth.test': api.AuthTestArguments;
  'bots.info': Form<api.BotsInfoArguments>;
  'chat.delete': api.ChatDeleteArguments;
  'chat.getPermalink': Form<api.ChatGetPermalinkArguments>;
  'chat.postEphemeral': api.ChatPostEphemeralArguments & KnownBlocks;
  'chat.postMessage': api.ChatPostMessageArguments & KnownBlocks;
  'chat.update': api.ChatUpdateArguments & KnownBlocks;
  'conversations.history': Form<api.ConversationsHistoryArguments>;
  'conversations.info': Form<api.ConversationsInfoArguments>;
  'conversations.list': Form<api.ConversationsListArguments>;
  'conversations.members': Form<api.ConversationsMembersArguments>;
  'conversations.open': api.ConversationsOpenArguments;
  'conversations.replies': Form<api.ConversationsRepliesArguments>;
  'reactions.add': api.ReactionsAddArguments;
  'reactions.get': Form<api.ReactionsGetArguments>;
  'reactions.remove': api.ReactionsRemoveArguments;
  'team.info': Form<api.TeamInfoArguments>;
  'usergroups.list': Form<api.UsergroupsListArguments>;
  'usergroups.users.list': Form<api.UsergroupsUsersListArguments>;
  'users.info': Form<api.UsersInfoArguments>;
  'users.list': Form<api.UsersListArguments>;
  'users.lookupByEmail': Form<api.UsersLookupByEmailArguments>;
}

export interface Responses {
  'agents.sessions.setStatus': Answer<api.AgentsSessionsSetStatusResponse>;
  'apps.connections.open': Answer<api.AppsConnectionsOpenResponse>;
  'assistant.threads.setStatus': Answer<api.AssistantThreadsSetStatusResponse>;
  'auth.test': Answer<api.AuthTestResponse>;
  'bots.info': Answer<api.BotsInfoResponse>;
  'chat.delete': Answer<api.ChatDeleteResponse>;
  'chat.getPermalink': Answer<api.ChatGetPermalinkResponse>;
  'chat.postEphemeral': Answer<api.ChatPostEphemeralResponse>;
  'chat.postMessage': Answer<api.ChatPostMessageResponse>;
  'chat.update': Answer<api.ChatUpdateResponse>;
  'conversations.history': Answer<api.ConversationsHistoryResponse>;
  'conversations.info': Answer<api.ConversationsInfoResponse> & Direct;
  'conversations.list': Answer<api.ConversationsListResponse>;
  'conversations.members': Answer<api.ConversationsMembersResponse>;
  'conversations.open': Answer<api.ConversationsOpenResponse>;
  'conversations.replies': Answer<api.ConversationsRepliesResponse>;
  'reactions.add': Answer<api.ReactionsAddResponse>;
  'reactions.get': Answer<api.ReactionsGetResponse>;
  'reactions.remove': Answer<api.ReactionsRemoveResponse>;
  'team.info': Answer<api.TeamInfoResponse>;
  'usergroups.list': Answer<api.UsergroupsListResponse>;
  'usergroups.users.list': Answer<api.UsergroupsUsersListResponse>;
  'users.info': Answer<api.UsersInfoResponse>;
  'users.list': Answer<api.UsersListResponse>;
  'users.lookupByEmail': Answer<api.UsersLookupByEmailResponse>;
}

export interface Events {
  agent_session_stopped: Enveloped<slack.AgentSessionStoppedEvent>;
  app_mention: Enveloped<
    slack.AppMentionEvent & KnownBlocks & { app_id?: string; parent_user_id?: string }
  >;
  member_joined_channel: Enveloped<slack.MemberJoinedChannelEvent>;
  message: Enveloped<Said>;
  'message.message_changed': Enveloped<
    Omit<slack.MessageChangedEvent, 'message' | 'previous_message'> & {
      message: Quoted;
      previous_message: Quoted;
    }
  >;
  'message.message_deleted': Enveloped<
    Omit<slack.MessageDeletedEvent, 'previous_message'> & { previous_message: Quoted }
  >;
  reaction_added: Enveloped<slack.ReactionAddedEvent>;
  reaction_removed: Enveloped<slack.ReactionRemovedEvent>;
}

export interface Interactions {
  block_actions: Omit<BlockAction<Pressed>, 'enterprise' | 'message'> & {
    enterprise: { id: string; name: string } | null;
    message: Kept<NonNullable<api.ConversationsRepliesResponse['messages']>[number]>;
  };
}

export interface Refusal extends Pick<api.WebAPICallResult, 'response_metadata'> {
  ok: false;
  error: string;
  errors?: string[];
  needed?: string;
  provided?: string;
  req_method?: string;
}
