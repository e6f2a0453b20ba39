#include "falproxy/options.hpp"

#include <algorithm>
#include <utility>

namespace falproxy::inline v0 {
namespace {

// Settings check what these parse, so that there is no fault left for them to find.
fal::EndpointId checked_endpoint(const std::string& id) {
  return fal::EndpointId::parse(id).value();
}

bool keeps_in_private(const Settings& settings) {
  return settings.media_store.has_value() && settings.media_store->is_private();
}

}  // namespace

CatalogModel catalog_model(const ModelRoute& route, ModelSettings settings) {
  const std::string& edit = settings.edit.empty() ? route.edit_endpoint : settings.edit;
  std::optional<fal::EndpointId> edit_endpoint;
  if (!edit.empty()) edit_endpoint = checked_endpoint(edit);
  std::optional<fal::EndpointId> remix_endpoint;
  if (!settings.remix.empty()) remix_endpoint = checked_endpoint(settings.remix);
  return {route.name, checked_endpoint(route.endpoint), std::move(edit_endpoint),
          std::move(settings), std::move(remix_endpoint)};
}

fal::Addresses fal_addresses(const Settings& settings) {
  return {settings.fal_queue_url, settings.fal_run_url, settings.fal_schema_url,
          settings.fal_rest_url, settings.fal_api_url};
}

Catalog::Options catalog_options(const Settings& settings) {
  return {.fal = fal_addresses(settings),
          .ttl = settings.schema_ttl,
          .allow_any_model = settings.allow_any_model};
}

KeyRing::Options key_ring_options(const Settings& settings) {
  return {.max_jobs_per_account = settings.max_jobs_per_account};
}

plan::Options plan_options(const Settings& settings) {
  return {.max_images = settings.max_images_per_request,
          .strict_parameters = settings.strict_parameters,
          .default_response_format = settings.default_response_format,
          .nsfw_results = settings.nsfw_results,
          .output_access = keeps_in_private(settings) ? std::optional(OutputAccess::forbid)
                                                      : std::optional<OutputAccess>(),
          .opens_files = keeps_in_private(settings)};
}

RequestLimits request_limits(const Settings& settings) {
  return {.max_images = settings.max_images_per_request,
          .max_upload_bytes = settings.max_upload_bytes};
}

Runner::Options runner_options(const Settings& settings) {
  return {
      .fal = fal_addresses(settings),
      .media_hosts = fal::MediaHosts::parse(settings.fal_media_hosts).value(),
      .completion = settings.completion,
      .max_upstream_streams = settings.max_upstream_streams,
      .max_submit_attempts = settings.max_submit_attempts,
      .on_disconnect = settings.on_disconnect,
      .recovery_window = settings.recovery_window,
      .keyed_recovery = settings.keyed_recovery,
      // What is kept counts as memory of bodies, most of which is for requests.
      .recovery_bytes = std::min(Runner::Options().recovery_bytes, settings.max_body_memory / 4),
      .max_download_bytes = settings.max_download_bytes,
      .image_upload = settings.image_upload,
      .keep_metadata = settings.keep_metadata,
      .upload_ttl = settings.upload_ttl,
      .default_model = settings.default_model,
      .looks_for_lost_jobs = asks_for_prices(settings),
      .opens_files = keeps_in_private(settings),
      .plan = plan_options(settings)};
}

}  // namespace falproxy::inline v0
