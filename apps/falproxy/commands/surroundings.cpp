#include "commands/surroundings.hpp"

#include <ostream>
#include <string_view>
#include <utility>

#include "disk_store.hpp"
#include "falproxy/http_transport.hpp"

namespace falproxy::app {
Surroundings RealSurroundings::surroundings(std::istream& in, std::ostream& out,
                                            std::ostream& err) {
  Environment environment = take_process_environment();
  const auto open_store = [this, environment, &err](const Settings& settings) {
    std::unique_ptr<DocumentStore> store;
    const auto directory = cache_directory(settings.schema_cache_dir, environment);
    if (!directory) return store;
    const auto warn = [&err](std::string_view text) { err << text << '\n'; };
    if (auto opened = DiskStore::create(*directory, codecs_, warn)) store = std::move(*opened);
    return store;
  };
  const auto open_transport = [](const Settings& settings,
                                 const Proxies& proxies) -> Result<std::unique_ptr<Transport>> {
    auto transport = HttpTransport::create({.ca_file = settings.ssl_cert_file, .proxies = proxies});
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
