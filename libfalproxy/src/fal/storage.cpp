#include "base/fmt.hpp"
#include "falproxy/fal.hpp"

namespace falproxy::inline v0::fal {

HttpRequest upload_initiate_request(const Addresses& fal, const Secret& key,
                                    std::string_view content_type, std::string_view file_name,
                                    std::chrono::seconds lifetime) {
  const Json body = Json::object(
      {{"content_type", Json::string(content_type)}, {"file_name", Json::string(file_name)}});
  HttpRequest request{.method = "POST",
                      .url = fal.rest + "/storage/upload/initiate?storage_type=fal-cdn-v3",
                      .headers = {{"Authorization", "Key " + std::string(key.reveal())},
                                  {"Content-Type", "application/json"},
                                  {"Accept", "application/json"}},
                      .body = Body(body.dump())};
  if (lifetime > std::chrono::seconds::zero()) {
    // fal's clients use the first name for storage, its documentation the second one for
    // everything.
    const std::string lifecycle =
        fmt::format(R"({{"expiration_duration_seconds":{}}})", lifetime.count());
    request.headers.add("X-Fal-Object-Lifecycle", lifecycle);
    request.headers.add("X-Fal-Object-Lifecycle-Preference", lifecycle);
  }
  return request;
}

Result<UploadTarget> parse_upload_target(std::string_view body, const Addresses& fal,
                                         const MediaHosts& media) {
  const Result<Json> json = Json::parse(body);
  UploadTarget target;
  const auto take = [&](std::string_view name, std::string& url) {
    const std::optional<Json> member = json->find(name);
    if (member.has_value()) url = std::string(member->as_string().value_or(""));
    return Url::parse(url).has_value();
  };
  if (!json || !take("upload_url", target.upload_url) || !take("file_url", target.file_url)) {
    return Error{ErrorKind::upstream_failed,
                 "fal's storage gave an answer that names no upload_url and file_url."};
  }
  if (!media.allow(*Url::parse(target.upload_url)) && !same_origin(target.upload_url, fal.rest)) {
    return Error{
        ErrorKind::upstream_untrusted_url,
        "fal's storage named an upload address outside the configured hosts (FAL_MEDIA_HOSTS)."};
  }
  return target;
}

HttpRequest upload_request(const UploadTarget& target, std::string_view content_type, Body bytes) {
  return {.method = "PUT",
          .url = target.upload_url,
          .headers = {{"Content-Type", std::string(content_type)}},
          .body = std::move(bytes)};
}

HttpRequest sign_request(const Addresses& fal, const Secret& key, std::string_view url,
                         std::chrono::seconds lifetime) {
  const std::string file = percent_encode(url.substr(0, url.find('?')));
  return {.method = "POST",
          .url = fmt::format("{}/storage/files/sign?url={}", fal.api, file),
          .headers = {{"Authorization", "Key " + std::string(key.reveal())},
                      {"Content-Type", "application/json"},
                      {"Accept", "application/json"}},
          .body = Body(fmt::format(R"({{"expiration_seconds":{}}})", lifetime.count()))};
}

Result<std::string> parse_signed(std::string_view body, const MediaHosts& media) {
  const Result<Json> json = Json::parse(body);
  const std::string link(json ? (*json)["signed_url"].as_string().value_or("") : "");
  const std::optional<Url> url = Url::parse(link);
  if (!url.has_value()) {
    return Error{ErrorKind::upstream_failed, "fal gave an answer that holds no link to its file."};
  }
  if (media.allow(*url)) return link;
  return Error{ErrorKind::upstream_untrusted_url,
               "fal gave a link outside the configured hosts (FAL_MEDIA_HOSTS)."};
}

}  // namespace falproxy::inline v0::fal
