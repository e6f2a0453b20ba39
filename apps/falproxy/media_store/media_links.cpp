#include "media_store/media_links.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/fmt.hpp"
#include "base/hex.hpp"
#include "base/hmac.hpp"
#include "base/text.hpp"
#include "base/unix_time.hpp"
#include "paging.hpp"

namespace falproxy::app {
RunId MediaLinks::id_of(std::string_view owner, std::string_view source) const {
  const Digest digest = hmac_sha256(codecs_, secret_, fmt::format("id\n{}\n{}", owner, source));
  RunId id;
  std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
  return id;
}

std::string MediaLinks::signature(const RunId& id, std::string_view expires) const {
  return hex(hmac_sha256(codecs_, secret_, fmt::format("link\n{}\n{}", id.to_string(), expires)));
}

std::string MediaLinks::address(const MediaRecord& record, std::string_view origin,
                                WallTime now) const {
  std::string text = fmt::format("{}/media/{}.{}", origin, record.id.to_string(), record.extension);
  if (place_.access != MediaAccess::signed_link) return text;
  const std::string expires = std::to_string(unix_seconds(now + place_.link_life));
  return text + fmt::format("?expires={}&signature={}", expires, signature(record.id, expires));
}

bool MediaLinks::opens(const RunId& id, std::string_view target, WallTime now) const {
  if (place_.access != MediaAccess::signed_link) return place_.access == MediaAccess::open;
  const std::string expires = query_value(target, "expires");
  std::int64_t until = 0;
  const auto [end, fault] = std::from_chars(expires.data(), expires.data() + expires.size(), until);
  if (fault != std::errc() || end != expires.data() + expires.size()) return false;
  return unix_seconds(now) < until &&
         is_same_secret<std::string>(query_value(target, "signature"), signature(id, expires));
}

std::string new_media_secret() {
  std::array<std::uint8_t, 32> bytes{};
  return ::getentropy(bytes.data(), bytes.size()) == 0 ? hex(bytes) : std::string();
}

std::optional<RunId> id_in_file_name(std::string_view name) {
  const std::size_t dot = std::min(name.find('.'), name.size());
  const std::string_view extension = name.substr(std::min(dot + 1, name.size()));
  const bool plain = extension.size() <= 8 && std::ranges::all_of(extension, is_alnum);
  return plain ? RunId::parse(name.substr(0, dot)) : std::nullopt;
}

}  // namespace falproxy::app
