// scripts.hpp: what is done in one step inside Redis, in Lua. All keys begin with "falproxy:".
#pragma once

#include <string>

namespace falproxy::inline v0::redis {

/// Places in all_scripts().
enum class Script {
  write,          ///< id, fence, flags, what stays or its mark, record, expiry, and of a claim the
                  ///< known ids
  erase,          ///< id
  find,           ///< index, newest first?, least, greatest, limit, owner
  forget,         ///< now, at most
  post,           ///< name, take back?, bounds and charges, each with their number before
                  ///< them, and as `add`, or nothing
  balances,       ///< cursor, about how many, the names of the sums
  add,            ///< day, names, seven figures in one word, the last of which may be left out
  drop_spending,  ///< day
  take_place,     ///< account, ticket, limit, lease
  take_turn,      ///< client, ticket, places, lease, requests, period
  take_probe,     ///< kind and name, stamp, lease
  beat,           ///< process, lease, "" to take places again that are gone; bans (kind and name,
                  ///< stamp, how long; "" for what is lifted), cancels, accounts and tickets, the
                  ///< first two with their number before them
  note_media,     ///< for each: id, value, owner, expiry, state, size
  change_media,   ///< id, state, size, content type
  forget_media,   ///< id
  find_media,     ///< by, owner, id or time, limit
  media_totals,   ///< -
  put_text,       ///< name, text, the version that it must have; "": any
  newer_text,     ///< name, the version that is known; "": none is
  put_first,      ///< name, text
};
inline constexpr std::size_t script_count = 20;

/// Its whole text.
[[nodiscard]] const std::string& text_of(Script script);
/// What EVALSHA calls it, as Redis told when it was loaded: the SHA-1 of its text.
inline constexpr std::size_t script_name_size = 40;

}  // namespace falproxy::inline v0::redis
