#include "storage.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "falproxy/http.hpp"

namespace falproxy::inline v0::testing {
namespace {

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
  const std::string tail = std::to_string(next_++) + "/" + percent_encode(name);
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
  answers_.reply(visit.exchange, DeskReply{.headers = {{"content-type", "text/plain"}}});
}

void Storage::give(const Visit& visit, std::string_view type, Body file) {
  DeskReply reply{.headers = {{"content-type", std::string(type)}, {"accept-ranges", "bytes"}},
                  .body = std::move(file)};
  const std::size_t size = reply.body.size();
  std::size_t first = 0;
  std::size_t last = size - 1;
  const std::string range(visit.request.header("range"));
  const int read = std::sscanf(range.c_str(), "bytes=%zu-%zu", &first, &last);
  if (read >= 1 && size > 0) {
    last = std::min(last, size - 1);
    if (first > last) {
      reply.status = 416;
      reply.body = Body();
      reply.headers.add("content-range", "bytes */" + std::to_string(size));
    } else {
      reply.status = 206;
      reply.headers.add("content-range", "bytes " + std::to_string(first) + "-" +
                                             std::to_string(last) + "/" + std::to_string(size));
      reply.body = Body(reply.body.str().substr(first, last - first + 1));
    }
  }
  answers_.reply(visit.exchange, std::move(reply));
}

void Storage::sign(const Visit& visit) {
  const nlohmann::json body = nlohmann::json::parse(visit.request.body, nullptr, false);
  const std::string url = visit.request.parameter("url").value_or("");
  const bool timed = body.is_object() && body.contains("expiration_seconds") &&
                     body["expiration_seconds"].is_number_integer();
  if (!timed || url.find("/files/") == std::string::npos || url.find('?') != std::string::npos)
    return answers_.problem(visit.exchange, 400, "url and expiration_seconds are required", {});
  answers_.json(visit.exchange, 200, {{"signed_url", url + "?identity=falsim"}}, {});
}

void Storage::media(const Visit& visit) {
  ++stats_.media_requests;
  const std::string_view path = visit.request.path;
  const std::string_view name = path.substr(path.rfind('/') + 1);
  for (const std::string& job : forgotten_) {
    if (name.find(job) != std::string_view::npos)
      return answers_.problem(visit.exchange, 404, "Not Found", {});
  }
  if (visit.request.parameter("identity") != "falsim") {
    if (name.starts_with("forbid.")) return answers_.problem(visit.exchange, 403, "Forbidden", {});
    if (name.starts_with("hide.")) return answers_.problem(visit.exchange, 404, "Not Found", {});
  }
  if (const auto found = files_.find(path); found != files_.end() && found->second->complete) {
    const std::shared_ptr<File>& file = found->second;
    Body bytes;
    bytes.append(Piece{file, file->seen.bytes});
    return give(visit, file->seen.content_type, std::move(bytes));
  }
  const std::size_t mark = path.find('_');
  if (const auto sound = mark == std::string_view::npos
                             ? std::nullopt
                             : parse_sound_suffix(path.substr(path.rfind('-') + 1)))
    return give(visit, media_type(sound->format), Body(encode(*sound)));
  if (const auto video = parse_video_suffix(path.substr(path.rfind('-') + 1))) {
    std::function<Body(const Picture&)> webp;
    if (makes(PictureFormat::webp))
      webp = [this](const Picture& one) { return pictures_.get(one); };
    return give(visit, video_type, Body(encode(*video, webp)));
  }
  const auto picture =
      mark == std::string_view::npos ? std::nullopt : parse_file_suffix(path.substr(mark + 1));
  if (!picture || !makes(picture->format))
    return answers_.problem(visit.exchange, 404, "Not Found", {});
  give(visit, media_type(picture->format), pictures_.get(*picture));
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

std::string Storage::address(const std::string& origin, std::string_view job, const Sound& sound) {
  return origin + "/files/lark/" + std::string(job) + "-" + file_suffix(sound);
}

std::string Storage::address(const std::string& origin, std::string_view job, const Video& video) {
  return origin + "/files/lark/" + std::string(job) + "-" + file_suffix(video);
}

std::string Storage::data_uri(const Picture& picture) {
  std::string uri("data:");
  uri.append(media_type(picture.format)).append(";base64,");
  PlainCodecs().encode_base64(pictures_.get(picture).str(), uri);
  return uri;
}

const SeenUpload* Storage::find(std::string_view file_url) const {
  const std::size_t at = file_url.find("/files/");
  const auto found = at == std::string_view::npos ? files_.end() : files_.find(file_url.substr(at));
  return found == files_.end() || !found->second->complete ? nullptr : &found->second->seen;
}

}  // namespace falproxy::inline v0::testing
