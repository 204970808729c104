#!/usr/bin/env bash
# Every REST call of the chat, in the order in which two people would cause them.
#
#   examples/walkthrough.sh <base URL> <token of A> <token of B> <user id of B>
#
# On a first start without DATABASE_URL the server prints tokens of its demo users. Nothing but curl is needed.
set -euo pipefail

if [ $# -ne 4 ]; then
  echo "usage: $0 <base URL> <token of A> <token of B> <user id of B>" >&2
  exit 2
fi
base=${1%/} token_a=$2 token_b=$3 user_b=$4

# call <what for> <token or -> <method> <path> [JSON body]: shows the call and leaves the answer in $answer.
# --fail-with-body ends the script at the first answer that is an error, after showing it.
call() {
  local title=$1 token=$2 method=$3 path=$4
  local arguments=(--silent --show-error --fail-with-body --request "$method")
  [ "$token" = - ] || arguments+=(--header "Authorization: Bearer $token")
  [ $# -lt 5 ] || arguments+=(--header 'Content-Type: application/json' --data "$5")
  printf '\n# %s\n%s %s %s\n' "$title" "$method" "$path" "${5-}"
  local failed=0
  answer=$(curl "${arguments[@]}" "$base$path") || failed=$?
  printf '%s\n' "$answer"
  return "$failed"
}

call 'Who are you?' - GET /
call 'Are you well?' - GET /api/v1/health
call 'Are the chat routes there?' - GET /api/chat/test

call 'A opens the conversation with B, or finds it' "$token_a" POST /api/chat/conversations "{\"participantId\": \"$user_b\"}"
conversation=$(printf '%s' "$answer" | grep -oE '[{,]"id":"[0-9a-f-]{36}"' | head -n 1 | grep -oE '[0-9a-f-]{36}')
messages=/api/chat/conversations/$conversation/messages

call 'A writes' "$token_a" POST "$messages" '{"message": "Hello! Is the blue lamp still there?"}'
call 'B has unread messages' "$token_b" GET /api/chat/unread-count
call "B's conversations, newest activity first" "$token_b" GET '/api/chat/conversations?limit=10'
call 'B reads the newest messages' "$token_b" GET "$messages?limit=20"
call 'B has seen them' "$token_b" POST "/api/chat/conversations/$conversation/read"
call 'B answers' "$token_b" POST "$messages" '{"message": "It is. Shall I keep it for you?"}'
call 'A reads what is new' "$token_a" GET "$messages?limit=5"
call 'A has seen it' "$token_a" POST "/api/chat/conversations/$conversation/read"
call 'Is B online?' "$token_a" GET "/api/chat/users/$user_b/status"

printf '\nAll calls answered.\n'
