#include "storage.hpp"

#include <openssl/evp.h>

#include <utility>

#include "falproxy/http.hpp"

namespace falsim {
namespace {

std::string base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::string string_member(const nlohmann::json& object, const char* name) {
  if (!object.is_object()) return {};
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

void Storage::initiate(const Visit& visit, const std::string& upload_origin) {
  const nlohmann::json body = nlohmann::json::parse(visit.request.body, nullptr, false);
  const std::string type = string_member(body, "content_type");
  const std::string name = string_member(body, "file_name");
  const auto storage = visit.request.parameter("storage_type");
  if (type.empty() || name.empty() || !storage || (*storage != "fal-cdn-v3" && *storage != "gcs")) {
    return answers_.problem(visit.exchange, 422,
                            "content_type, file_name and storage_type are required", {});
  }
  const std::string tail = std::to_string(next_++) + "/" + falproxy::percent_encode(name);
  auto file = std::make_shared<File>();
  file->seen.content_type = type;
  file->seen.lifecycle = visit.request.header("x-fal-object-lifecycle");
  files_.emplace("/files/uploads/" + tail, std::move(file));
  order_.push_back("/files/uploads/" + tail);
  answers_.json(visit.exchange, 200,
                {{"upload_url", upload_origin + "/upload/" + tail + "?signature=falsim"},
                 {"file_url", visit.origin + "/files/uploads/" + tail}},
                {});
}

void Storage::upload(const Visit& visit) {
  const auto found = files_.find("/files/uploads/" +
                                 visit.request.path.substr(std::string_view("/upload/").size()));
  if (found == files_.end() || visit.request.parameter("signature") != "falsim") {
    return answers_.problem(visit.exchange, 403, "SignatureDoesNotMatch", {});
  }
  File& file = *found->second;
  if (visit.request.header("content-type") != file.seen.content_type) {
    return answers_.problem(visit.exchange, 403, "the content type is not the one of the initiate",
                            {});
  }
  if (file.complete) return answers_.problem(visit.exchange, 403, "this address has been used", {});
  file.seen.bytes = visit.request.body;
  file.complete = true;
  uploaded_bytes_ += file.seen.bytes.size();
  while (uploaded_bytes_ > max_uploaded_bytes && order_.size() > 1) {
    const auto oldest = files_.find(order_.front());
    uploaded_bytes_ -= oldest->second->seen.bytes.size();
    files_.erase(oldest);
    order_.pop_front();
  }
  ++stats_.uploads;
  answers_.reply(visit.exchange, Reply{.headers = {{"content-type", "text/plain"}}});
}

void Storage::media(const Visit& visit) {
  ++stats_.media_requests;
  const auto give = [&](std::string_view type, SharedText file) {
    answers_.reply(visit.exchange, Reply{.headers = {{"content-type", std::string(type)}},
                                         .body = std::move(file),
                                         .without_body = visit.request.method == "HEAD"});
  };
  const std::string_view path = visit.request.path;
  if (const auto found = files_.find(path); found != files_.end() && found->second->complete) {
    const std::shared_ptr<File>& file = found->second;
    return give(file->seen.content_type, SharedText(file, &file->seen.bytes));
  }
  const std::size_t mark = path.find('_');
  const auto picture =
      mark == std::string_view::npos ? std::nullopt : parse_file_suffix(path.substr(mark + 1));
  if (!picture) return answers_.problem(visit.exchange, 404, "Not Found", {});
  give(media_type(picture->format), pictures_.get(*picture));
}

std::string Storage::address(const std::string& origin, std::string_view job, std::size_t index,
                             const Picture& picture) {
  static constexpr std::string_view animals[] = {"koala",  "panda",  "tiger", "zebra",
                                                 "rabbit", "monkey", "lion",  "penguin"};
  const std::string_view animal = animals[picture.variant % std::size(animals)];
  std::string url = origin + "/files/";
  url.append(animal).append("/").append(job).append("-").append(std::to_string(index)).append("_");
  return url + file_suffix(picture);
}

std::string Storage::data_uri(const Picture& picture) {
  std::string uri = "data:";
  return uri.append(media_type(picture.format))
      .append(";base64,")
      .append(base64(*pictures_.get(picture)));
}

const SeenUpload* Storage::find(std::string_view file_url) const {
  const std::size_t at = file_url.find("/files/");
  const auto found = at == std::string_view::npos ? files_.end() : files_.find(file_url.substr(at));
  return found == files_.end() || !found->second->complete ? nullptr : &found->second->seen;
}

}  // namespace falsim
