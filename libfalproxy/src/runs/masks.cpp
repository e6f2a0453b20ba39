#include "runs/masks.hpp"

#include <memory>
#include <utility>

#include "base/fmt.hpp"
#include "base/retry.hpp"
#include "falproxy/media.hpp"
#include "runs/links.hpp"
#include "runs/pictures.hpp"
#include "wish/files.hpp"

namespace falproxy::inline v0::runs {
namespace {

bool may_fetch(const World& world, const std::string& address) {
  const std::optional<Url> url = Url::parse(address);
  return url.has_value() && world.options.media_hosts.allow(*url);
}

// A mask that is an address, for the model cannot take it as it is. Nothing but fal's own media is
// ever fetched: an address is the client's word, and may lead anywhere.
Result<Piece> fetched_mask(const World& world, const std::string& address,
                           const Patience& patience) {
  const auto refused = [](std::string_view why) {
    return Error{ErrorKind::invalid_mask,
                 fmt::format("Invalid mask image: this model takes masks in another form, and to "
                             "convert it {}. Send the mask as a file or as a data URL.",
                             why),
                 "mask"};
  };
  const auto policy = retry_policies::upload.at_most(world.options.max_submit_attempts);
  plan::ResultFile image;
  image.url = Body(address);
  Result<Picture> picture =
      std::move(make_pictures(world, {image}, ResponseFormat::b64_json, patience, policy).front());
  if (!picture) {
    const ErrorKind kind = picture.error().kind;
    if (kind == ErrorKind::upstream_untrusted_url)
      return refused("falproxy would have to fetch it from a host that is not in FAL_MEDIA_HOSTS");
    if (kind == ErrorKind::download_failed) return refused("it could not be fetched");
    return std::move(picture).error();
  }
  const std::string_view base64 = picture->content.pieces().front().bytes;
  MemoryShare share(world.parts.memory);
  if (!share.resize(base64.size() / 4 * 3)) return no_memory_left();
  std::optional<std::string> bytes = run_by_size(world.parts.executor, base64.size(), [&] {
    return world.parts.codecs.decode_base64(base64);
  });
  if (!bytes.has_value()) return refused("it could not be read");
  const auto owner = counted(*std::move(bytes), std::move(share));
  return Piece{owner, *owner};
}

// The mask's bytes as the model takes them.
Result<Piece> converted_mask(const World& world, const plan::Plan& plan, Piece mask) {
  // However small the file is, the picture may be large.
  std::optional<Result<std::shared_ptr<const std::string>>> converted;
  world.parts.executor.run_blocking([&] {
    const media::MaskConverter& masks = *world.parts.masks;
    converted = plan.mask_is_source ? masks.from_hole(mask.bytes, plan.mask, world.parts.memory)
                                    : masks.convert(mask.bytes, plan.mask, world.parts.memory);
  });
  if (!*converted) return std::move(*converted).error();
  const std::shared_ptr<const std::string>& owner = **converted;
  return Piece{owner, *owner};
}

}  // namespace

Result<ReadyMask> ready_mask(const World& world, const Wish& request, const plan::Plan& plan,
                             const Patience& patience, std::vector<plan::Note>& notes) {
  const InputFile& mask = plan.mask_is_source ? request.picture(*plan.source) : *request.mask;
  const bool converts = world.parts.masks != nullptr;
  if (plan.mask_is_source && !converts) {
    return Error{ErrorKind::missing_parameter,
                 "This model requires a mask, and this falproxy is built without libpng, so that "
                 "it cannot make one of the picture's own transparency. Send a 'mask'.",
                 "mask"};
  }
  const bool may_be_fit = plan.mask == MaskConvention::alpha;
  if (!converts && !may_be_fit)
    notes.push_back({"mask", "passed on unconverted: this falproxy is built without libpng"});
  if (!mask.url.empty() && !converts)
    return ReadyMask{.address = Body(address_for_fal(world, mask, patience))};
  if (!mask.url.empty() && may_be_fit && !may_fetch(world, mask.url)) {
    notes.push_back({"mask",
                     "passed on as it is: its host is not in FAL_MEDIA_HOSTS, so that "
                     "nobody has looked whether it is transparent anywhere"});
    return ReadyMask{.address = Body(mask.url)};
  }
  Result<Piece> bytes =
      mask.url.empty() ? Piece{mask.owner, mask.bytes} : fetched_mask(world, mask.url, patience);
  if (bytes && plan.source) {
    const std::string_view picture = request.picture(*plan.source).bytes;
    if (auto fault = check_mask_size(bytes->bytes, picture)) return *std::move(fault);
  }
  if (bytes && converts) bytes = converted_mask(world, plan, *std::move(bytes));
  if (!bytes) return std::move(bytes).error();
  return ReadyMask{.bytes = *std::move(bytes)};
}

}  // namespace falproxy::inline v0::runs
