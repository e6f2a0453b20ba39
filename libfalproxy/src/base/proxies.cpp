#include "falproxy/proxies.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr std::uint16_t default_port = 1080;  // curl's
constexpr std::string_view form =
    "write http://host:port or http://user:password@host:port, with %XX for what is special";

std::string in_brackets(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

Error fault_of(const std::string& setting, std::string_view what) {
  return Error{ErrorKind::invalid_settings, fmt::format("{}; {}", what, form), setting};
}

// "user:password" with its escapes undone; none if that cannot be.
std::optional<std::string> read_credentials(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  const std::optional<std::string> user = percent_decode(text.substr(0, colon));
  const std::optional<std::string> password =
      percent_decode(text.substr(std::min(colon + 1, text.size())));
  // A colon ends the user's name on the wire, too.
  if (!user || !password || user->find(':') != std::string::npos) return std::nullopt;
  return *user + ":" + *password;
}

// Nothing of `text` is quoted: it may hold a password.
Result<Proxy> read_proxy(std::string_view text, const std::string& setting) {
  if (const std::size_t scheme_end = text.find("://"); scheme_end != std::string_view::npos) {
    if (!equal_ignoring_case(text.substr(0, scheme_end), "http"))
      return fault_of(setting, "names a proxy of a kind that falproxy does not speak to");
    text.remove_prefix(scheme_end + 3);
  }
  text = text.substr(0, text.find_first_of("/?#"));
  Proxy proxy{.setting = setting};
  if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
    std::optional<std::string> credentials = read_credentials(text.substr(0, at));
    if (!credentials) return fault_of(setting, "has a user or a password that cannot be read");
    if (*credentials != ":") proxy.credentials = Secret(*std::move(credentials));
    text.remove_prefix(at + 1);
  }
  const std::optional<Url> url = Url::parse("http://" + std::string(text));
  if (!url) return fault_of(setting, "is not the address of a proxy");
  const bool names_port =
      text.find(':', text.find(']') == std::string_view::npos ? 0 : text.find(']')) !=
      std::string_view::npos;
  proxy.host = url->host;
  proxy.port = names_port ? url->port : default_port;
  return proxy;
}

// An IPv4 or IPv6 address as its bytes.
struct AddressBytes {
  std::array<std::uint8_t, 16> bytes = {};
  std::size_t size = 0;  // 4 or 16
};

std::optional<AddressBytes> read_address(const std::string& text) noexcept {
  AddressBytes address;
  if (::inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) address.size = 4;
  if (address.size == 0 && ::inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1)
    address.size = 16;
  return address.size == 0 ? std::nullopt : std::optional(address);
}

bool same_bits(const AddressBytes& a, const AddressBytes& b, std::size_t bits) noexcept {
  const std::size_t whole = bits / 8;
  if (!std::equal(a.bytes.begin(), a.bytes.begin() + static_cast<std::ptrdiff_t>(whole),
                  b.bytes.begin()))
    return false;
  return bits % 8 == 0 || (a.bytes[whole] ^ b.bytes[whole]) >> (8 - bits % 8) == 0;
}

std::string_view without_last_dot(std::string_view host) noexcept {
  return host.ends_with('.') ? host.substr(0, host.size() - 1) : host;
}

// What NO_PROXY lets go directly.
struct Exemption {
  std::string host = {};                     // and all below it
  std::optional<AddressBytes> network = {};  // in place of a host
  std::size_t bits = 0;                      // of the network
  std::uint16_t port = 0;                    // 0: any
  std::string text = {};

  [[nodiscard]] bool matches(std::string_view asked, const std::optional<AddressBytes>& address,
                             std::uint16_t asked_port) const noexcept {
    if (port != 0 && port != asked_port) return false;
    if (network.has_value() || address.has_value())
      return network.has_value() && address.has_value() && network->size == address->size &&
             same_bits(*network, *address, bits);
    return asked.ends_with(host) &&
           (asked.size() == host.size() || asked[asked.size() - host.size() - 1] == '.');
  }
};

std::optional<Exemption> read_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  Exemption exemption{.network = read_address(std::string(text.substr(0, slash)))};
  const std::string_view bits = text.substr(slash + 1);
  const auto [end, fault] = std::from_chars(bits.data(), bits.data() + bits.size(), exemption.bits);
  if (!exemption.network || fault != std::errc() || end != bits.data() + bits.size() ||
      exemption.bits > exemption.network->size * 8)
    return std::nullopt;
  return exemption;
}

std::optional<Exemption> read_exemption(std::string_view text) {
  if (text.find('/') != std::string_view::npos) return read_network(text);
  if (text.starts_with("*.")) text.remove_prefix(1);
  if (text.starts_with('.')) text.remove_prefix(1);
  const bool bare_ipv6 = !text.starts_with('[') && std::ranges::count(text, ':') > 1;
  const std::string authority = bare_ipv6 ? "[" + std::string(text) + "]" : std::string(text);
  const std::optional<Url> url = Url::parse("http://" + authority);
  if (!url || url->host.starts_with('.')) return std::nullopt;
  Exemption exemption{.host = std::string(without_last_dot(url->host)),
                      .network = read_address(url->host)};
  if (exemption.host.empty() || (authority.starts_with('[') && !exemption.network))
    return std::nullopt;
  if (exemption.network) exemption.bits = exemption.network->size * 8;
  const bool names_port = authority.ends_with(":" + std::to_string(url->port));
  if (names_port && !bare_ipv6) exemption.port = url->port;
  return exemption;
}

}  // namespace

struct Proxies::Rules {
  std::optional<Proxy> https = {}, http = {};
  std::vector<Exemption> exemptions = {};
  std::string exempting = {};  // the variable
  std::vector<std::string> not_understood = {};

  // False: everything is exempt.
  bool read_exemptions(std::string_view list) {
    for (int number = 1; !list.empty(); ++number) {
      const std::size_t begin = std::min(list.find_first_not_of(", \t"), list.size());
      list.remove_prefix(begin);
      const std::string_view entry = list.substr(0, list.find_first_of(", \t"));
      list.remove_prefix(entry.size());
      if (entry.empty()) continue;
      if (entry == "*") return false;
      if (std::optional<Exemption> exemption = read_exemption(entry)) {
        exemption->text = entry;
        exemptions.push_back(*std::move(exemption));
      } else {
        // The address of a proxy with its password may have come here by mistake.
        const bool may_show = entry.find('@') == std::string_view::npos;
        not_understood.push_back(may_show ? fmt::format("entry {} ('{}')", number, entry)
                                          : fmt::format("entry {}", number));
      }
    }
    return true;
  }
};

std::string Proxy::address() const { return fmt::format("{}:{}", in_brackets(host), port); }

Result<Proxies> Proxies::read(const Variable& variable) {
  struct Set {
    std::string name;
    std::string_view value;
  };
  const auto first_of = [&](std::initializer_list<std::string_view> names) -> std::optional<Set> {
    for (const std::string_view name : names) {
      const std::string_view value = trim(variable(name).value_or(""));
      if (!value.empty()) return Set{std::string(name), value};
    }
    return std::nullopt;
  };
  auto rules = std::make_shared<Rules>();
  if (const std::optional<Set> set = first_of({"no_proxy", "NO_PROXY"})) {
    rules->exempting = set->name;
    if (!rules->read_exemptions(set->value)) return Proxies();
  }
  const bool is_cgi = variable("REQUEST_METHOD").has_value();
  const auto all = first_of({"all_proxy", "ALL_PROXY"});
  const auto https = first_of({"https_proxy", "HTTPS_PROXY"});
  const auto http = is_cgi ? first_of({"http_proxy"}) : first_of({"http_proxy", "HTTP_PROXY"});
  for (const auto& [set, into] : {std::pair(https ? https : all, &rules->https),
                                  std::pair(http ? http : all, &rules->http)}) {
    if (!set) continue;
    Result<Proxy> proxy = read_proxy(set->value, set->name);
    if (!proxy) return std::move(proxy).error();
    *into = *std::move(proxy);
  }
  Proxies proxies;
  if (rules->https || rules->http) proxies.rules_ = std::move(rules);
  return proxies;
}

const Proxy* Proxies::find(const Url& url) const noexcept {
  if (rules_ == nullptr) return nullptr;
  const std::optional<Proxy>& proxy = url.scheme == "https" ? rules_->https : rules_->http;
  if (!proxy) return nullptr;
  const std::string_view host = without_last_dot(url.host);
  const std::optional<AddressBytes> address = read_address(url.host);
  const bool exempt = std::ranges::any_of(rules_->exemptions, [&](const Exemption& exemption) {
    return exemption.matches(host, address, url.port);
  });
  return exempt ? nullptr : &*proxy;
}

std::string Proxies::describe() const {
  if (rules_ == nullptr) return {};
  const auto way = [](std::string_view scheme, const std::optional<Proxy>& proxy) {
    if (!proxy) return fmt::format("{} directly", scheme);
    return fmt::format("{} through the proxy {} ({}{})", scheme, proxy->address(), proxy->setting,
                       proxy->credentials.empty() ? "" : ", with a password");
  };
  std::string text =
      "outgoing requests: " + way("https", rules_->https) + ", " + way("http", rules_->http);
  if (rules_->exemptions.empty()) return text;
  text += "; directly to ";
  for (const Exemption& exemption : rules_->exemptions) text += exemption.text + ", ";
  text.resize(text.size() - 2);
  return text + " (" + rules_->exempting + ")";
}

std::string Proxies::exempting() const {
  return rules_ == nullptr ? std::string() : rules_->exempting;
}

std::vector<std::string> Proxies::not_understood() const {
  return rules_ == nullptr ? std::vector<std::string>() : rules_->not_understood;
}

}  // namespace falproxy::inline v0
