#include "gateway/uploads.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/fmt.hpp"
#include "falproxy/media.hpp"
#include "gateway/faults.hpp"
#include "gateway/side_by_side.hpp"

namespace falproxy::gateway {
namespace {

using Cause = fal::Fault::Cause;

constexpr std::size_t parallel_uploads = 4;
constexpr std::size_t max_storage_answer = 1u << 20;

// One file on its way: its bytes and what keeps them.
struct File {
  Piece bytes;
  std::string field;  // for messages: "image" or "mask"
};

std::string_view type_of(const File& file) {
  const std::optional<media::ImageType> type = media::sniff(file.bytes.bytes);
  return type.has_value() ? media::mime_type(*type) : "application/octet-stream";
}

std::string name_of(const File& file) {
  const std::optional<media::ImageType> type = media::sniff(file.bytes.bytes);
  return file.field + "." + std::string(type.has_value() ? media::name_of(*type) : "bin");
}

Error upload_failed(const File& file, ErrorKind kind, std::string_view why) {
  return {kind, fmt::format("The {} could not be handed to fal's storage: {}.", file.field, why)};
}

// Uploads one file. A storage upload costs nothing and names a new file each time, so that it may
// be repeated whatever happened.
class Upload {
 public:
  Upload(const World& world, const File& file, const Patience& patience)
      : world_(world), file_(file), patience_(patience) {}

  Result<Body> run() {
    Clock& clock = world_.parts.clock;
    Error last = upload_failed(file_, ErrorKind::upstream_failed, "it was refused");
    for (int attempt = 1; attempt <= world_.options.max_submit_attempts; ++attempt) {
      if (attempt > 1) {
        clock.sleep_until(clock.now() + submit_backoff(attempt - 1, world_.parts.random()),
                          patience_.stop());
      }
      Result<fal::UploadTarget> target = initiate();
      if (!target && !worth_repeating(target.error())) return std::move(target).error();
      if (!target) {
        last = std::move(target).error();
        continue;
      }
      Result<Done> put = send_bytes(*target);
      if (put) return Body(std::move(target->file_url));
      if (!worth_repeating(put.error())) return std::move(put).error();
      last = std::move(put).error();
    }
    return last;
  }

 private:
  static bool worth_repeating(const Error& error) {
    return error.kind == ErrorKind::upstream_failed ||
           error.kind == ErrorKind::upstream_unreachable;
  }

  Error no_answer(const TransportError& error) {
    if (patience_.stop().stop_requested()) return cancelled_error();
    if (world_.parts.clock.now() >= patience_.deadline()) return timed_out_error();
    const ErrorKind kind = error.fault == TransportFault::unreachable
                               ? ErrorKind::upstream_unreachable
                               : ErrorKind::upstream_failed;
    return upload_failed(file_, kind, "no answer came");
  }

  // With each key once while fal refuses them.
  Result<fal::UploadTarget> initiate() {
    std::vector<std::size_t> refused;
    std::optional<Error> refusal;
    while (true) {
      Result<KeyLease> lease = world_.parts.keys.acquire_or_wait(
          world_.parts.clock, patience_.deadline(), patience_.stop(), refused);
      if (!lease) {
        const bool no_other = lease.error().kind == ErrorKind::keys_out && refusal.has_value();
        return no_other ? *std::move(refusal) : std::move(lease).error();
      }
      const HttpRequest request =
          fal::upload_initiate_request(world_.options.fal, lease->key(), type_of(file_),
                                       name_of(file_), world_.options.upload_ttl);
      const Result<HttpResponse, TransportError> answer =
          exchange(world_, request, patience_.deadline(), patience_.stop(), max_storage_answer);
      if (!answer) return no_answer(answer.error());
      if (answer->head.status >= 200 && answer->head.status < 300) {
        return fal::parse_upload_target(answer->body, world_.options.fal,
                                        world_.options.media_hosts);
      }
      const fal::Fault fault =
          fal::read_fault(answer->head, without_secret(answer->body, lease->key()));
      const std::optional<KeyOutcome> of_the_key = outcome_of(fault.cause);
      if (!of_the_key.has_value() && fault.cause != Cause::forbidden) {
        return upload_failed(file_, ErrorKind::upstream_failed,
                             fmt::format("it answered {}", answer->head.status));
      }
      if (of_the_key.has_value()) {
        report_key(world_, *lease, {*of_the_key, fault.retry_after, words_of(fault)});
      }
      refused.push_back(lease->slot());
      refusal = refused_by(fault);
    }
  }

  Error refused_by(const fal::Fault& fault) const {
    if (fault.cause != Cause::busy) {
      return upload_failed(file_, ErrorKind::keys_out, "it refused the fal keys");
    }
    Error error = upload_failed(file_, ErrorKind::keys_resting, "it asked to slow down");
    error.retry_after = fault.retry_after;
    return error;
  }

  static std::optional<KeyOutcome> outcome_of(Cause cause) {
    if (cause == Cause::key_refused) return KeyOutcome::refused;
    if (cause == Cause::account_blocked) return KeyOutcome::account_blocked;
    if (cause == Cause::busy) return KeyOutcome::rate_limited;
    return std::nullopt;
  }

  Result<Done> send_bytes(const fal::UploadTarget& target) {
    HttpRequest request{.method = "PUT",
                        .url = target.upload_url,
                        .headers = {{"Content-Type", std::string(type_of(file_))}}};
    request.body.append(file_.bytes);
    const Result<HttpResponse, TransportError> answer =
        exchange(world_, request, patience_.deadline(), patience_.stop(), max_storage_answer);
    if (!answer) return no_answer(answer.error());
    if (answer->head.status >= 200 && answer->head.status < 300) return Done{};
    return upload_failed(file_, ErrorKind::upstream_failed,
                         fmt::format("it answered {}", answer->head.status));
  }

  const World& world_;
  const File& file_;
  const Patience& patience_;
};

Body as_data_uri(const Codecs& codecs, const File& file) {
  std::string uri = fmt::format("data:{};base64,", type_of(file));
  uri.reserve(uri.size() + (file.bytes.bytes.size() + 2) / 3 * 4);
  codecs.encode_base64(file.bytes.bytes, uri);
  return Body(std::move(uri));
}

bool is_data_uri(std::string_view url) { return url.starts_with("data:"); }

Piece owned(std::string text) {
  auto owner = std::make_shared<const std::string>(std::move(text));
  const std::string_view bytes = *owner;
  return {std::move(owner), bytes};
}

// The bytes of an image that came with the request; none where it is an address.
Result<std::optional<Piece>> bytes_of(const Codecs& codecs, const openai::ImageInput& image,
                                      const std::string& field) {
  if (image.url.empty()) return std::optional(Piece{image.owner, image.bytes});
  if (!is_data_uri(image.url)) return std::optional<Piece>();
  const std::optional<media::DataUri> uri = media::parse_data_uri(image.url);
  std::optional<std::string> bytes;
  if (uri.has_value()) bytes = codecs.decode_base64(uri->base64);
  if (!bytes.has_value()) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("'{}' holds a data URI that is not base64.", field), field};
  }
  return std::optional(owned(std::move(*bytes)));
}

bool used_by_a_job(const translate::FalPlan& plan, std::size_t image) {
  return std::ranges::any_of(plan.jobs, [&](const translate::FalInput& job) {
    return std::ranges::any_of(job.slots, [&](const auto& slot) { return slot.image == image; });
  });
}

// The mask's bytes as the model takes them.
Result<Piece> converted_mask(const World& world, const translate::FalPlan& plan, Piece mask,
                             std::vector<translate::Note>& notes) {
  if (plan.mask == MaskConvention::alpha) return mask;
  if (world.parts.masks == nullptr) {
    notes.push_back({"mask", "passed on unconverted: this falproxy is built without libpng"});
    return mask;
  }
  Result<std::string> converted = world.parts.masks->convert(mask.bytes, plan.mask);
  if (!converted) return std::move(converted).error();
  return owned(std::move(*converted));
}

}  // namespace

Result<ImageAddresses> address_images(const World& world, const openai::ImageRequest& request,
                                      const translate::FalPlan& plan, const Patience& patience,
                                      std::vector<translate::Note>& notes) {
  struct Errand {
    File file;
    Body* address;
    std::optional<Error> error = std::nullopt;
  };
  ImageAddresses addresses;
  addresses.images.resize(request.images.size());
  std::vector<Errand> errands;
  const Codecs& codecs = world.parts.codecs;

  for (std::size_t i = 0; i < request.images.size(); ++i) {
    if (!used_by_a_job(plan, i)) continue;
    const openai::ImageInput& image = request.images[i];
    const bool inline_uri =
        world.options.image_upload == ImageUpload::inline_data && is_data_uri(image.url);
    Result<std::optional<Piece>> bytes = std::optional<Piece>();
    if (!inline_uri) bytes = bytes_of(codecs, image, "image");
    if (!bytes) return std::move(bytes).error();
    if (bytes->has_value()) {
      errands.push_back({{std::move(**bytes), "image"}, &addresses.images[i]});
    } else {
      addresses.images[i] = Body(image.url);
    }
  }
  if (request.mask.has_value() && used_by_a_job(plan, translate::ImageSlot::mask_image)) {
    Result<std::optional<Piece>> bytes = bytes_of(codecs, *request.mask, "mask");
    if (!bytes) return std::move(bytes).error();
    if (bytes->has_value()) {
      Result<Piece> mask = converted_mask(world, plan, std::move(**bytes), notes);
      if (!mask) return std::move(mask).error();
      errands.push_back({{std::move(*mask), "mask"}, &addresses.mask});
    } else {
      addresses.mask = Body(request.mask->url);
      if (plan.mask != MaskConvention::alpha) {
        notes.push_back({"mask", "passed on by its address, so not converted"});
      }
    }
  }

  side_by_side(world.parts.executor, errands.size(), parallel_uploads, [&](std::size_t i) {
    Errand& errand = errands[i];
    if (world.options.image_upload == ImageUpload::inline_data) {
      *errand.address = as_data_uri(codecs, errand.file);
      return;
    }
    Result<Body> address = Upload(world, errand.file, patience).run();
    if (address) {
      *errand.address = std::move(*address);
    } else {
      errand.error = std::move(address).error();
    }
  });
  for (Errand& errand : errands) {
    if (errand.error.has_value()) return std::move(*errand.error);
  }
  return addresses;
}

}  // namespace falproxy::gateway
