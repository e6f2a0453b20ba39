#include "runs/links.hpp"

#include <algorithm>
#include <vector>

#include "base/fmt.hpp"
#include "runs/faults.hpp"

namespace falproxy::inline v0::runs {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t largest_answer = 64u << 10;
constexpr std::chrono::seconds longest_fetch = 1h;
constexpr Milliseconds longest_silence = 10s;

}  // namespace

Result<std::string> signed_link(const World& world, const std::string& address,
                                std::chrono::seconds lifetime, TimePoint deadline,
                                const std::stop_token& stop) {
  const std::optional<Url> url = Url::parse(address);
  if (!url.has_value() || !world.options.media_hosts.allow(*url))
    return Error{ErrorKind::upstream_untrusted_url, "The file is not on a host of fal's."};
  Error failed{ErrorKind::download_failed, "fal gives no link to the file."};
  std::vector<std::size_t> refused;
  while (!stop.stop_requested()) {
    const Result<KeyLease> lease = world.parts.keys.acquire_or_wait(
        world.parts.clock, deadline, stop, {.except = refused, .counted = false});
    if (!lease) return failed;
    HttpRequest request = fal::sign_request(world.options.fal, lease->key(), address, lifetime);
    request.max_silence = longest_silence;
    const auto got = fetch(world.parts.transport, request, deadline, stop, largest_answer);
    if (got && got->head.status == 200) {
      Result<std::string> link = fal::parse_signed(got->body, world.options.media_hosts);
      if (link) return link;
      failed.message = link.error().message;
      return failed;
    }
    world.tally.upstream_faults.fetch_add(1);
    world.debug([&] {
      return fmt::format("sign {} -> {}", address,
                         got ? std::to_string(got->head.status) : got.error().message);
    });
    // The file may be another account's.
    const bool may_be_another = got && got->head.status >= 400 && got->head.status < 500;
    if (!may_be_another) return failed;
    refused.push_back(lease->slot());
  }
  return cancelled_error();
}

Result<std::string> opened(const World& world, const std::string& address, TimePoint deadline,
                           const std::stop_token& stop) {
  if (!world.options.opens_files) return address;
  return signed_link(world, address, longest_fetch, deadline, stop);
}

std::string address_for_fal(const World& world, const InputFile& file, const Patience& patience) {
  if (!file.is_own) return file.url;
  return opened(world, file.url, patience.deadline(), patience.stop()).value_or(file.url);
}

}  // namespace falproxy::inline v0::runs
