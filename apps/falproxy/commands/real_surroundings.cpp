#include "commands/real_surroundings.hpp"

#include <optional>
#include <ostream>
#include <string_view>
#include <utility>

#include "disk_store.hpp"
#include "falproxy/http_transport.hpp"

namespace falproxy::app {
namespace {

std::optional<std::string_view> variable(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  if (found == environment.end()) return std::nullopt;
  return found->second;
}

}  // namespace

Surroundings RealSurroundings::surroundings(std::istream& in, std::ostream& out,
                                            std::ostream& err) {
  Environment environment = process_environment();
  const auto open_store = [this, environment, &err](const Settings& settings) {
    std::unique_ptr<DocumentStore> store;
    const auto directory =
        cache_directory(settings.schema_cache_dir, variable(environment, "XDG_CACHE_HOME"),
                        variable(environment, "HOME"));
    if (!directory) return store;
    const auto warn = [&err](std::string_view text) { err << text << '\n'; };
    if (auto opened = DiskStore::create(*directory, codecs_, warn)) store = std::move(*opened);
    return store;
  };
  const auto open_transport = [](const Settings& settings) -> Result<std::unique_ptr<Transport>> {
    auto transport = HttpTransport::create({.ca_file = settings.ssl_cert_file});
    if (!transport) return std::move(transport).error();
    return std::unique_ptr<Transport>(std::move(*transport));
  };
  return {.environment = std::move(environment),
          .in = in,
          .out = out,
          .err = err,
          .clock = clock_,
          .executor = executor_,
          .codecs = codecs_,
          .transport = open_transport,
          .store = open_store};
}

}  // namespace falproxy::app
