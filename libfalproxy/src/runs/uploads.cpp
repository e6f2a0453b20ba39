#include "runs/uploads.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/fmt.hpp"
#include "base/retry.hpp"
#include "falproxy/body_source.hpp"
#include "falproxy/media.hpp"
#include "runs/faults.hpp"
#include "runs/links.hpp"
#include "runs/masks.hpp"
#include "runs/side_by_side.hpp"

namespace falproxy::inline v0::runs {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t parallel_uploads = 4;
constexpr std::size_t max_storage_answer = 1u << 20;
constexpr Milliseconds longest_storage_silence = 30s;

// One file on its way.
struct File {
  Body bytes;
  std::shared_ptr<const BodySource> source;  // in their place
  std::string field;                         // for messages: "image", "mask" or "file"
  std::string_view type;
  std::string name;
};

Result<File> make_file(const World& world, const Piece& bytes,
                       std::shared_ptr<const BodySource> source, std::string field) {
  const std::optional<media::ImageType> type = media::sniff(bytes.bytes);
  const std::optional<media::SoundType> sound = media::sniff_sound(bytes.bytes);
  const std::string_view ending = type.has_value()    ? media::name_of(*type)
                                  : sound.has_value() ? media::name_of(*sound)
                                                      : "bin";
  File file;
  file.name = field + "." + std::string(ending);
  file.field = std::move(field);
  file.type = media::mime_type(bytes.bytes);
  file.type = file.type.substr(0, file.type.find(';'));
  if (source != nullptr) {
    file.source = std::move(source);
  } else if (world.options.keep_metadata) {
    file.bytes.append(bytes);
  } else {
    std::optional<Body> plain = run_by_size(world.parts.executor, bytes.bytes.size(),
                                            [&] { return media::without_metadata(bytes); });
    if (!plain.has_value()) {
      return Error{ErrorKind::unsupported_file,
                   fmt::format("Invalid file '{}': it has metadata in more than 1,000 places. Save "
                               "it again with another program.",
                               file.field),
                   file.field};
    }
    file.bytes = *std::move(plain);
  }
  return file;
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
    Retry retry(retry_policies::upload.at_most(world_.options.max_submit_attempts), clock.now(),
                patience_.deadline());
    while (true) {
      Result<Body> address = attempt();
      if (address || !worth_repeating(address.error())) return address;
      retry.extend(patience_.deadline());
      if (retry.wait(clock, patience_.stop(), world_.random())) continue;
      return patience_.stop().stop_requested() ? cancelled_error() : std::move(address);
    }
  }

 private:
  static bool worth_repeating(const Error& error) {
    return error.kind == ErrorKind::upstream_failed ||
           error.kind == ErrorKind::upstream_unreachable;
  }

  Result<Body> attempt() {
    Result<fal::UploadTarget> target = initiate();
    if (!target) return std::move(target).error();
    if (Result<Done> put = send_bytes(*target); !put) return std::move(put).error();
    return Body(std::move(target->file_url));
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
          world_.parts.clock, patience_.deadline(), patience_.stop(),
          {.except = refused, .counted = false});
      if (!lease) {
        const bool no_other = lease.error().kind == ErrorKind::keys_out && refusal.has_value();
        return no_other ? *std::move(refusal) : std::move(lease).error();
      }
      HttpRequest request = fal::upload_initiate_request(
          world_.options.fal, lease->key(), file_.type, file_.name, world_.options.upload_ttl);
      request.max_silence = longest_storage_silence;
      const Result<event::Answered, event::NoAnswer> answer =
          exchange(world_, request, patience_.deadline(), patience_.stop(), max_storage_answer);
      if (!answer) return no_answer(answer.error().error);
      if (answer->head.status >= 200 && answer->head.status < 300) {
        return fal::parse_upload_target(*answer->body, world_.options.fal,
                                        world_.options.media_hosts);
      }
      const fal::Fault fault =
          fal::read_fault(answer->head, without_secret(*answer->body, lease->key()));
      const Verdict verdict = verdict_on(fault);
      if (!verdict.another_key) {
        return upload_failed(file_, ErrorKind::upstream_failed,
                             fmt::format("it answered {}", answer->head.status));
      }
      if (verdict.outcome.has_value()) {
        report_key(world_, *lease, {*verdict.outcome, fault.retry_after, words_of(fault)});
      }
      refused.push_back(lease->slot());
      refusal = refused_by(fault, verdict);
    }
  }

  Error refused_by(const fal::Fault& fault, const Verdict& verdict) const {
    if (verdict.outcome != KeyOutcome::rate_limited) {
      return upload_failed(file_, ErrorKind::keys_out, "it refused the fal keys");
    }
    Error error = upload_failed(file_, ErrorKind::keys_resting, "it asked to slow down");
    error.retry_after = fault.retry_after;
    return error;
  }

  Result<Done> send_bytes(const fal::UploadTarget& target) {
    HttpRequest request{.method = "PUT",
                        .url = target.upload_url,
                        .headers = {{"Content-Type", std::string(file_.type)}}};
    request.body.append(file_.bytes);
    request.source = file_.source;
    request.max_silence = longest_storage_silence;
    const Result<event::Answered, event::NoAnswer> answer =
        exchange(world_, request, patience_.deadline(), patience_.stop(), max_storage_answer);
    if (!answer) return no_answer(answer.error().error);
    if (answer->head.status >= 200 && answer->head.status < 300) return Done{};
    return upload_failed(file_, ErrorKind::upstream_failed,
                         fmt::format("it answered {}", answer->head.status));
  }

  const World& world_;
  const File& file_;
  const Patience& patience_;
};

// Whole groups of three, so that what comes of each goes behind the one before.
Result<Done> encode_source(const World& world, const BodySource& source, CountedText& uri) {
  constexpr std::size_t at_once = 3u << 16;
  if (!uri.make_room((static_cast<std::size_t>(source.size()) + 2) / 3 * 4))
    return no_memory_left();
  for (std::uint64_t at = 0; at < source.size(); at += at_once) {
    const std::string piece = source.read(at, at_once);
    if (piece.size() < std::min<std::uint64_t>(at_once, source.size() - at))
      return Error{ErrorKind::overloaded, "The file cannot be read back now. Send it again."};
    world.parts.executor.run_blocking([&] { world.parts.codecs.encode_base64(piece, uri.text()); });
  }
  return Done{};
}

Body shared_body(CountedText& text) {
  Body body;
  const std::shared_ptr<const std::string> taken = text.take();
  body.append(Piece{taken, *taken});
  return body;
}

Result<Body> as_data_uri(const World& world, const File& file) {
  const std::string head = fmt::format("data:{};base64,", file.type);
  if (file.source != nullptr) {
    CountedText uri(world.parts.memory);
    if (!uri.append(head)) return no_memory_left();
    if (Result<Done> done = encode_source(world, *file.source, uri); !done) return done.error();
    return shared_body(uri);
  }
  CountedText whole(world.parts.memory);
  const std::vector<Piece>& pieces = file.bytes.pieces();
  for (std::size_t i = 0; pieces.size() > 1 && i < pieces.size(); ++i) {
    if (!whole.append(pieces[i].bytes)) return no_memory_left();
  }
  const std::string_view bytes = pieces.size() == 1 ? pieces.front().bytes : whole.text();
  CountedText uri(world.parts.memory);
  if (!uri.make_room(head.size() + (bytes.size() + 2) / 3 * 4)) return no_memory_left();
  uri.text() += head;
  world.parts.executor.run_blocking([&] { world.parts.codecs.encode_base64(bytes, uri.text()); });
  return shared_body(uri);
}

bool used_by_a_job(const plan::Plan& plan, std::size_t image) {
  return std::ranges::any_of(plan.jobs, [&](const plan::JobInput& job) {
    return std::ranges::any_of(job.slots, [&](const auto& slot) { return slot.image == image; });
  });
}

}  // namespace

Result<ImageAddresses> address_images(const World& world, const Wish& request,
                                      const plan::Plan& plan, const Patience& patience,
                                      std::vector<plan::Note>& notes) {
  struct Errand {
    File file;
    Body* address;
    std::optional<Error> error = std::nullopt;
  };
  ImageAddresses addresses;
  addresses.images.resize(request.images.size() + request.attached.size());
  std::vector<Errand> errands;

  for (std::size_t i = 0; i < addresses.images.size(); ++i) {
    if (!used_by_a_job(plan, i)) continue;
    const InputFile& image = request.picture(i);
    if (image.url.empty()) {
      Result<File> file = make_file(world, {image.owner, image.bytes}, image.source,
                                    image.medium == Medium::audio ? "file" : "image");
      if (!file) return std::move(file).error();
      errands.push_back({*std::move(file), &addresses.images[i]});
    } else {
      addresses.images[i] = Body(address_for_fal(world, image, patience));
    }
  }
  if (used_by_a_job(plan, plan::FileSlot::mask_image)) {
    Result<ReadyMask> ready = ready_mask(world, request, plan, patience, notes);
    if (!ready) return std::move(ready).error();
    addresses.mask = std::move(ready->address);
    if (ready->bytes.has_value()) {
      Result<File> file = make_file(world, *ready->bytes, nullptr, "mask");
      if (!file) return std::move(file).error();
      errands.push_back({*std::move(file), &addresses.mask});
    }
  }
  if (!world.options.keep_metadata) {
    const bool avif = std::ranges::any_of(
        errands, [](const Errand& errand) { return errand.file.type == "image/avif"; });
    if (avif) notes.push_back({"image", "an AVIF goes to fal with its metadata (EXIF)"});
  }

  side_by_side(world.parts.executor, errands.size(), parallel_uploads, [&](std::size_t i) {
    Errand& errand = errands[i];
    const bool in_line = world.options.image_upload == ImageUpload::inline_data;
    Result<Body> address =
        in_line ? as_data_uri(world, errand.file) : Upload(world, errand.file, patience).run();
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

}  // namespace falproxy::inline v0::runs
