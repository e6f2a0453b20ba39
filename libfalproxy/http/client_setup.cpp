#include "client_setup.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/text.hpp"
#include "falproxy/options.hpp"

namespace falproxy::inline v0 {
namespace {

Error unusable(std::string message, std::string field) {
  return {ErrorKind::invalid_settings, std::move(message), std::move(field)};
}

Accounts accounts_of(const std::vector<std::string>& keys) {
  Accounts accounts;
  for (const std::string& account : keys) {
    std::vector<Secret> of_account;
    for (std::size_t begin = 0; begin <= account.size();) {
      const std::size_t end = std::min(account.find('|', begin), account.size());
      if (end > begin) of_account.emplace_back(account.substr(begin, end - begin));
      begin = end + 1;
    }
    if (!of_account.empty()) accounts.push_back(std::move(of_account));
  }
  return accounts;
}

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(trim(value));
}

void set_from(const char* name, std::string& option) {
  if (std::string value = variable(name); !value.empty()) option = std::move(value);
}

}  // namespace

ClientOptions ClientOptions::from_environment() {
  ClientOptions options;
  std::string key = variable("FAL_KEY");
  const std::string id = variable("FAL_KEY_ID"), secret = variable("FAL_KEY_SECRET");
  if (key.empty() && !id.empty() && !secret.empty()) key = id + ":" + secret;
  if (!key.empty()) options.keys.push_back(std::move(key));
  set_from("FAL_QUEUE_URL", options.fal.queue);
  set_from("FAL_RUN_URL", options.fal.run);
  set_from("FAL_SCHEMA_URL", options.fal.schema);
  set_from("FAL_REST_URL", options.fal.rest);
  set_from("FAL_MEDIA_HOSTS", options.media_hosts);
  set_from("SSL_CERT_FILE", options.ca_file);
  return options;
}

Result<Setup> setup_of(const ClientOptions& options) {
  auto hosts = fal::MediaHosts::parse(options.media_hosts);
  if (!hosts) return unusable(hosts.error().message, "media_hosts");
  Setup setup{.accounts = accounts_of(options.keys)};
  if (setup.accounts.empty())
    return unusable("There is no fal key; give one as 'id:secret', or set FAL_KEY.", "keys");
  setup.catalog.fal = options.fal;
  setup.runner.fal = options.fal;
  setup.runner.media_hosts = *std::move(hosts);
  setup.runner.max_download_bytes = options.max_download_bytes;
  return setup;
}

Result<Setup> setup_of(const Settings& settings, const ModelSettingsMap& models) {
  if (const auto hosts = fal::MediaHosts::parse(settings.fal_media_hosts); !hosts)
    return unusable(hosts.error().message, "FAL_MEDIA_HOSTS");
  if (settings.ai_keys.empty()) return unusable("There is no fal key.", "AI_KEYS");
  Setup setup{.accounts = settings.ai_keys,
              .keys = key_ring_options(settings),
              .catalog = catalog_options(settings),
              .runner = runner_options(settings),
              .limits = request_limits(settings)};
  for (const ModelRoute& route : settings.models) {
    const auto own = models.find(route.name);
    ModelSettings said = own == models.end() ? ModelSettings() : own->second;
    for (const std::string& id : {route.endpoint, route.edit_endpoint, said.edit, said.remix}) {
      const auto endpoint = fal::EndpointId::parse(id.empty() ? route.endpoint : id);
      if (!endpoint) return unusable(endpoint.error().message, "SUPPORTED_MODELS");
    }
    if (!said.schema.empty()) {
      std::ifstream file(said.schema, std::ios::binary);
      if (!file.is_open())
        return unusable("'" + said.schema + "' cannot be read.", route.name + ".schema");
      setup.pinned.emplace(route.name, std::string{std::istreambuf_iterator<char>(file), {}});
    }
    setup.models.push_back(catalog_model(route, std::move(said)));
  }
  return setup;
}

}  // namespace falproxy::inline v0
