#include "base/printer.hpp"
#include "falproxy/settings.hpp"
#include "settings/words.hpp"

namespace falproxy::inline v0 {

std::string_view name_of(LogFormat value) noexcept { return name_in(log_formats, value); }
std::string_view name_of(NsfwResults value) noexcept { return name_in(nsfw_results, value); }
std::string_view name_of(OnDisconnect value) noexcept { return name_in(on_disconnects, value); }
std::string_view name_of(UnknownPrice value) noexcept { return name_in(unknown_prices, value); }
std::string_view name_of(ChatImages value) noexcept { return name_in(chat_images, value); }
std::string_view name_of(ImageUpload value) noexcept { return name_in(image_uploads, value); }

std::string_view name_of(MediaAccess value) noexcept { return name_in(media_accesses, value); }

std::ostream& operator<<(std::ostream& out, const MediaPlace& place) {
  return Printer(out, "MediaPlace")("folder", place.folder)("bucket", place.bucket)(
             "prefix", place.prefix)("endpoint", place.endpoint)("region", place.region)(
             "virtual_host", place.virtual_host)("ttl", place.ttl)("max_bytes", place.max_bytes)(
             "access", place.access)("link_life", place.link_life)
      .end();
}

std::ostream& operator<<(std::ostream& out, const StateAddress::Host& host) {
  const bool is_v6 = host.name.find(':') != std::string::npos;
  return out << fmt::format("{}{}{}:{}", is_v6 ? "[" : "", host.name, is_v6 ? "]" : "", host.port);
}

std::ostream& operator<<(std::ostream& out, const StateAddress& address) {
  std::string hosts;
  for (const StateAddress::Host& host : address.hosts)
    hosts += (hosts.empty() ? "" : ",") + printed(host);
  if (!address.socket.empty())
    return out << "unix:" << address.socket
               << (address.database == 0 ? "" : fmt::format("?db={}", address.database));
  out << (!address.master.empty() ? "redis+sentinel://"
          : address.tls           ? "rediss://"
                                  : "redis://")
      << hosts;
  if (!address.master.empty()) out << '/' << address.master;
  if (address.database != 0) out << '/' << address.database;
  return out;
}

std::ostream& operator<<(std::ostream& out, const SettingsFault& fault) {
  return out << to_string(fault);
}

std::ostream& operator<<(std::ostream& out, const ModelRoute& route) {
  return out << route.name << ':' << route.endpoint << (route.edit_endpoint.empty() ? "" : "+")
             << route.edit_endpoint;
}

std::ostream& operator<<(std::ostream& out, const ChatRoute& route) {
  return out << route.name << (route.upstream.empty() ? "" : ":") << route.upstream;
}

std::ostream& operator<<(std::ostream& out, const ModelSettings& settings) {
  return Printer(out, "ModelSettings")("defaults", settings.defaults)(
             "overrides", settings.overrides)("response_format", settings.response_format)(
             "completion", settings.completion)("taught", settings.taught)("edit", settings.edit)(
             "remix", settings.remix)("mask", settings.mask)("fallback", settings.fallback)(
             "schema", settings.schema)("stream", settings.stream)("own_app", settings.own_app)(
             "fal", settings.fal)
      .end();
}

std::ostream& operator<<(std::ostream& out, const RateLimit& limit) {
  return out << fmt::format("{} in {} s", limit.requests, limit.per.count());
}

std::ostream& operator<<(std::ostream& out, const SettingInfo& info) { return out << info.name; }

}  // namespace falproxy::inline v0
