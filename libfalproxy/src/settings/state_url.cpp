#include <algorithm>
#include <charconv>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/http.hpp"
#include "settings/lists.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr const char* form =
    "write redis://user:password@host:6379/0, rediss://..., unix:/path or "
    "redis+sentinel://host:26379,host:26379/master";
constexpr std::uint16_t redis_port = 6379, sentinel_port = 26379;
constexpr int most_databases = 1'000'000;
constexpr int longest_bound = 5'000;

template <class T>
bool read_number(std::string_view text, T least, T most, T& into) {
  T number{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc() || end != text.data() + text.size() || number < least || number > most)
    return false;
  into = number;
  return true;
}

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_';
  });
}

// What stands before the last '@'. False: its percent signs are none.
bool read_user(std::string_view text, StateAddress& into) {
  const std::size_t colon = text.find(':');
  const bool has_user = colon != std::string_view::npos;
  const auto user = percent_decode(text.substr(0, has_user ? colon : 0));
  const auto password = percent_decode(text.substr(has_user ? colon + 1 : 0));
  if (!user || !password) return false;
  into.user = *user;
  into.password = Secret(*password);
  return true;
}

// One of the hosts.
bool read_host(std::string_view text, std::uint16_t usual_port, StateAddress& into) {
  StateAddress::Host host{.port = usual_port};
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return false;
    host.name = to_lower(text.substr(1, close - 1));
    const bool is_v6 = std::ranges::all_of(
        host.name, [](char c) { return is_hex_digit(c) || c == ':' || c == '.'; });
    if (!is_v6 || host.name.find(':') == std::string::npos) return false;
    text.remove_prefix(close + 1);
  } else {
    const std::size_t end = std::min(text.find(':'), text.size());
    host.name = to_lower(text.substr(0, end));
    if (!is_name(host.name)) return false;
    text.remove_prefix(end);
  }
  if (!text.empty() &&
      (text.front() != ':' || !read_number<std::uint16_t>(text.substr(1), 1, 65535, host.port)))
    return false;
  into.hosts.push_back(std::move(host));
  return true;
}

// An address without its parameters.
class Reader {
 public:
  Reader(SettingValue& value, StateAddress& into) : value_(value), into_(into) {}

  bool read(std::string_view text) {
    if (take(text, "unix:")) {
      into_.socket = percent_decode(text).value_or("");
      // What a socket's address has room for.
      if (!into_.socket.starts_with('/') || into_.socket.size() > 100)
        return fault("names no socket", "write unix:/path, of 100 bytes at most");
      return true;
    }
    const bool sentinel = take(text, "redis+sentinel://");
    into_.tls = !sentinel && take(text, "rediss://");
    if (!sentinel && !into_.tls && !take(text, "redis://"))
      return fault("is no address of a Redis or Valkey", form);
    if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
      if (!read_user(text.substr(0, at), into_))
        return fault("has a '%' in its user or password that is no %XX",
                     "write %25 for a percent sign");
      text.remove_prefix(at + 1);
    }
    const std::size_t slash = std::min(text.find('/'), text.size());
    std::string_view path = text.substr(std::min(slash + 1, text.size()));
    if (!read_hosts(text.substr(0, slash), sentinel)) return false;
    if (sentinel) {
      const std::size_t end = std::min(path.find('/'), path.size());
      into_.master = std::string(path.substr(0, end));
      if (!is_name(into_.master))
        return fault("does not say what the Sentinels call the master",
                     "write redis+sentinel://host:26379,host:26379/master");
      path = path.substr(std::min(end + 1, path.size()));
    }
    return read_database(path);
  }

  bool read_parameter(std::string_view name, std::string_view text) {
    if (name == "db" && !into_.socket.empty()) return read_database(text);
    if (name == "bound_ms") {
      int bound = 0;
      if (!read_number(text, 1, longest_bound, bound))
        return fault("has a bound_ms that is not 1 to 5000", "leave it out: it is 25");
      into_.bound = Milliseconds(bound);
      return true;
    }
    return fault("has a parameter that it does not know",
                 into_.socket.empty() ? "it knows bound_ms" : "it knows db and bound_ms");
  }

 private:
  static bool take(std::string_view& text, std::string_view scheme) {
    if (!equal_ignoring_case(text.substr(0, scheme.size()), scheme)) return false;
    text.remove_prefix(scheme.size());
    return true;
  }
  bool fault(std::string_view message, std::string_view mend) {
    value_.fault(std::string(message), std::string(mend));
    return false;
  }
  bool read_hosts(std::string_view text, bool sentinel) {
    while (true) {
      const std::size_t comma = std::min(text.find(','), text.size());
      if (!read_host(text.substr(0, comma), sentinel ? sentinel_port : redis_port, into_))
        return fault("names no host",
                     "write redis://user:password@host:6379/0, and %3F, %23 or %2F "
                     "for a '?', '#' or '/' in the password");
      if (comma == text.size()) break;
      text.remove_prefix(comma + 1);
    }
    if (!sentinel && into_.hosts.size() > 1)
      return fault("names several hosts",
                   "name one; Redis Cluster is not supported, redis+sentinel:// is");
    return true;
  }
  bool read_database(std::string_view text) {
    if (text.empty() || read_number(text, 0, most_databases, into_.database)) return true;
    return fault("has a database that is no number", form);
  }

  SettingValue& value_;
  StateAddress& into_;
};

}  // namespace

void read_state_url(SettingValue& value, Settings& into) {
  std::string_view text = value.text();
  if (equal_ignoring_case(text, "none")) return;
  StateAddress address;
  Reader reader(value, address);
  const std::size_t mark = std::min(text.rfind('?'), text.size());
  if (!reader.read(text.substr(0, mark))) return;
  std::string_view query = text.substr(std::min(mark + 1, text.size()));
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (!reader.read_parameter(pair.substr(0, equals),
                               pair.substr(std::min(equals + 1, pair.size()))))
      return;
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
  }
  into.state_url = std::move(address);
}

}  // namespace falproxy::inline v0
