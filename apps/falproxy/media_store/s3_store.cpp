#include "media_store/s3_store.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/fmt.hpp"
#include "media_store/media_names.hpp"

namespace falproxy::app {
namespace {

constexpr std::size_t largest_answer = 1u << 20;
constexpr Milliseconds longest_silence{30'000};
// A connection that was kept too long, or a bucket that is overloaded for a moment.
constexpr int most_attempts = 3;
constexpr Milliseconds pause{200};
constexpr Seconds longest_abort{10};

// What stands between <name> and </name>, which is all that is read of S3's XML.
std::string element(std::string_view xml, std::string_view name) {
  const std::string open = fmt::format("<{}>", name), close = fmt::format("</{}>", name);
  const std::size_t begin = xml.find(open);
  const std::size_t end = begin == std::string_view::npos ? begin : xml.find(close, begin);
  if (end == std::string_view::npos) return "";
  return std::string(xml.substr(begin + open.size(), end - begin - open.size()));
}

}  // namespace

// Parts of a file are put as they fill up; one that stays small is put at once.
class S3Writer final : public MediaWriter {
 public:
  S3Writer(S3Store& store, std::string name, StoreWait wait)
      : store_(store), name_(std::move(name)), wait_(std::move(wait)) {}
  S3Writer(const S3Writer&) = delete;
  S3Writer& operator=(const S3Writer&) = delete;
  // What is left of parts costs money until it is taken away, also if nobody waits any more.
  ~S3Writer() override {
    if (upload_.empty()) return;
    try {
      AwsRequest request = store_.request("DELETE", name_);
      request.query = {{"uploadId", upload_}};
      static_cast<void>(
          store_.send(request, {}, {.deadline = store_.clock_.now() + longest_abort}));
    } catch (...) {  // no memory: the bucket's rule ends it
    }
  }

  Result<Done> write(std::string_view bytes) override {
    piece_.append(bytes);
    if (piece_.size() < S3Store::part_bytes) return Done{};
    if (upload_.empty()) {
      if (Result<Done> begun = begin_parts(); !begun) return begun;
    }
    return put_part();
  }

  Result<Done> finish(const std::string& type) override {
    if (upload_.empty()) {
      AwsRequest request = store_.request("PUT", name_);
      request.fields = about(type);
      const auto put = store_.send(request, Body(std::exchange(piece_, {})), wait_);
      if (put) return Done{};
      return put.error();
    }
    if (!piece_.empty()) {
      if (Result<Done> put = put_part(); !put) return put;
    }
    std::string list = "<CompleteMultipartUpload>";
    for (std::size_t i = 0; i < tags_.size(); ++i)
      list +=
          fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, tags_[i]);
    list += "</CompleteMultipartUpload>";
    AwsRequest request = store_.request("POST", name_);
    request.query = {{"uploadId", upload_}};
    const auto done = store_.send(request, Body(std::move(list)), wait_);
    if (!done) return done.error();
    // It may fail after its head, which says 200, is out.
    if (!element(done->body, "Code").empty())
      return Error{.kind = ErrorKind::internal,
                   .message = fmt::format("{}: {}", store_.place(), element(done->body, "Code"))};
    upload_.clear();
    return Done{};
  }

 private:
  // The bucket answers with them, since clients fetch it there.
  [[nodiscard]] S3Store::Fields about(const std::string& type) const {
    return {{"Content-Type", type},
            {"Cache-Control", "max-age=31536000, immutable"},
            {"Content-Disposition",
             fmt::format("{}; filename=\"{}\"",
                         is_shown(type) && !is_active(type) ? "inline" : "attachment", name_)}};
  }

  Result<Done> begin_parts() {
    AwsRequest request = store_.request("POST", name_);
    request.query = {{"uploads", ""}};
    request.fields = about(type_of_name(name_));
    const auto begun = store_.send(request, {}, wait_);
    if (!begun) return begun.error();
    upload_ = element(begun->body, "UploadId");
    if (!upload_.empty()) return Done{};
    return Error{.kind = ErrorKind::internal,
                 .message = fmt::format("{} gives no upload id", store_.place())};
  }

  Result<Done> put_part() {
    AwsRequest request = store_.request("PUT", name_);
    request.query = {{"partNumber", std::to_string(tags_.size() + 1)}, {"uploadId", upload_}};
    const auto put = store_.send(request, Body(std::exchange(piece_, {})), wait_);
    if (!put) return put.error();
    tags_.emplace_back(put->head.headers.find("etag").value_or(""));
    return Done{};
  }

  S3Store& store_;
  const std::string name_;
  const StoreWait wait_;
  std::string piece_, upload_;
  std::vector<std::string> tags_;
};

S3Store::S3Store(MediaPlace place, AwsIdentity identity, const Url& endpoint, Transport& transport,
                 Clock& clock)
    : place_(std::move(place)),
      identity_(std::move(identity)),
      origin_(endpoint.origin()),
      host_(origin_.substr(origin_.find("://") + 3)),
      transport_(transport),
      clock_(clock) {}

Result<std::unique_ptr<S3Store>> S3Store::create(const MediaPlace& place, AwsIdentity identity,
                                                 Transport& transport, Clock& clock) {
  if (identity.key_id.empty() || identity.secret.empty()) {
    return Error{.kind = ErrorKind::invalid_settings,
                 .message = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set",
                 .field = "MEDIA_STORE"};
  }
  if (!place.region.empty()) identity.region = place.region;
  const std::string base = place.endpoint.empty()
                               ? fmt::format("https://s3.{}.amazonaws.com", identity.region)
                               : place.endpoint;
  Url endpoint = Url::parse(base).value_or(Url{});
  if (place.virtual_host) endpoint.host = fmt::format("{}.{}", place.bucket, endpoint.host);
  return std::unique_ptr<S3Store>(
      new S3Store(place, std::move(identity), endpoint, transport, clock));
}

std::string S3Store::place() const {
  return fmt::format("s3://{}{}{} at {}", place_.bucket, place_.prefix.empty() ? "" : "/",
                     place_.prefix, origin_);
}

AwsRequest S3Store::request(std::string method, const std::string& name) const {
  std::string path = place_.virtual_host ? "/" : fmt::format("/{}/", place_.bucket);
  if (!place_.prefix.empty()) path += percent_encode(place_.prefix, "/") + "/";
  return {.method = std::move(method), .host = host_, .path = path + percent_encode(name)};
}

Result<HttpResponse> S3Store::send(const AwsRequest& request, Body body, const StoreWait& wait) {
  HttpRequest http{
      .method = request.method, .url = origin_ + request.path, .body = std::move(body)};
  if (!request.query.empty()) http.url += "?" + aws_query(request.query);
  http.max_silence = longest_silence;
  std::string why;
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    if (attempt > 0 && !clock_.sleep_until(clock_.now() + pause, wait.stop)) break;
    http.headers = {};
    for (const auto& [name, value] : request.fields) http.headers.add(name, value);
    for (const auto& [name, value] : aws_signed_fields(request, identity_, clock_.wall_now()))
      http.headers.add(name, value);
    auto got = fetch(transport_, http, wait.deadline, wait.stop, largest_answer);
    if (!got) {
      why = got.error().message;
      continue;
    }
    const int status = got->head.status;
    if (status < 300 || (status == 404 && request.method == "DELETE")) return *std::move(got);
    const std::string code = element(got->body, "Code");
    why = code.empty() ? fmt::format("it answers {}", status)
                       : fmt::format("it answers {} {}", status, code);
    if (status < 500 && status != 429) break;
  }
  return Error{.kind = ErrorKind::internal, .message = fmt::format("{}: {}", place(), why)};
}

Result<std::unique_ptr<MediaWriter>> S3Store::begin(const std::string& name,
                                                    const StoreWait& wait) {
  return std::unique_ptr<MediaWriter>(std::make_unique<S3Writer>(*this, name, wait));
}

std::optional<std::string> S3Store::link(const std::string& name, std::string_view method,
                                         Seconds lifetime) const {
  return origin_ + aws_presigned_target(request(std::string(method), name), identity_,
                                        clock_.wall_now(), lifetime);
}

Result<Done> S3Store::remove(const std::string& name, const StoreWait& wait) {
  const auto gone = send(request("DELETE", name), {}, wait);
  if (gone) return Done{};
  return gone.error();
}

Result<Done> S3Store::probe(const StoreWait& wait) {
  const std::string name = "falproxy-probe.txt";
  if (const auto put = send(request("PUT", name), Body("falproxy"), wait); !put) return put.error();
  return remove(name, wait);
}

}  // namespace falproxy::app
