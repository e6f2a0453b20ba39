#include "handlers/talk_call.hpp"

#include <chrono>
#include <memory>
#include <utility>

#include "base/fmt.hpp"
#include "base/random.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/media.hpp"
#include "handlers/chat_passage.hpp"

namespace falproxy::app {

using serving::Response;

TalkCall::TalkCall(Call& call, Door::Admission admission, bool dry_run, const char* talk)
    : RunCall(call, Medium::image, std::move(admission), dry_run),
      talk_(talk),
      hosts_(fal::MediaHosts::parse(rules_->settings.fal_media_hosts)) {
  repeats_are_dear_ = true;
}

bool TalkCall::is_ours(std::string_view address) const {
  if (!kept_files_.empty() && address.starts_with(kept_files_)) return true;
  const std::optional<Url> url = Url::parse(address);
  return url.has_value() && hosts_ && hosts_->allow(*url);
}

std::optional<Response> TalkCall::answer_by_chat_model(Call& call, std::string& text,
                                                       std::string_view operation) {
  if (rules_->settings.chat_models.empty()) return std::nullopt;
  Result<Addressed> addressed = addressed_model(call, text);
  if (!addressed) return failure(std::move(addressed).error());
  record_.model = addressed->name;
  named_ = std::move(addressed->named);
  if (!addressed->chat) return std::nullopt;
  return pass_on(call, std::move(text), *addressed->chat, named_, operation);
}

Response TalkCall::answer_by_task_model(Call& call, std::string text, std::string_view operation,
                                        const std::function<Response()>& instead) {
  const std::string& name = rules_->settings.chat_task_model;
  const std::optional<ChatModel> task = chat_model(rules_->settings, name);
  if (!task) return instead();
  const std::string asked = std::exchange(record_.model, name);
  return pass_on(call, std::move(text), *task, named_, operation, [&] {
    record_.model = asked;
    record_.receipt = {};
    return instead();
  });
}

std::optional<Error> TalkCall::fault_of_model(const Wish& wish) const {
  return wish.model ? fault_of_name(*wish.model) : std::nullopt;
}

void TalkCall::take_earlier(Wish& wish, std::vector<InputFile> earlier) {
  if (earlier.empty() || !wish.images.empty()) return;
  for (InputFile& file : earlier) open_kept(file);
  Wish edit = wish;
  edit.intent = Intent::edit;
  edit.images = std::move(earlier);
  const Result<plan::Plan> plan = parts_.runner.plan(edit, context());
  if (!plan && plan.error().kind == ErrorKind::edit_unsupported) {
    note({{talk_, "the model takes no pictures, so that earlier ones are left out"}});
    return;
  }
  wish = std::move(edit);
}

void TalkCall::note(const std::vector<openai::Leftover>& leftovers) {
  for (const auto& [field, text] : leftovers) {
    if (notes_.size() < 10) notes_.push_back({field, text});
  }
}

Outcome TalkCall::run(Wish wish, const CallContext& context) {
  wish.stream = false;
  wish.partial_images.reset();
  wish.response_format = ResponseFormat::url;
  Outcome outcome = parts_.runner.handle(std::move(wish), context);
  outcome.receipt.notes.insert(outcome.receipt.notes.end(), notes_.begin(), notes_.end());
  if (!outcome.response) return outcome;
  for (const Product& product : *outcome.response) {
    Result<openai::TalkPicture> picture = picture_of(product, context);
    if (!picture) {
      Error error = std::move(picture).error();
      error.submitted = true;
      if (outcome.undelivered) outcome.undelivered();
      outcome.response = std::move(error);
      return outcome;
    }
    pictures_.push_back(*std::move(picture));
  }
  products_ = *outcome.response;
  return outcome;
}

void TalkCall::keep_pictures() {
  keep(products_);
  for (std::size_t i = 0; i < pictures_.size(); ++i) {
    if (!pictures_[i].address.empty()) pictures_[i].address = products_[i].content.str();
  }
}

Result<openai::TalkPicture> TalkCall::picture_of(const Product& product,
                                                 const CallContext& context) {
  openai::TalkPicture picture;
  const Body& content = product.content;
  const std::string_view begin =
      content.pieces().empty() ? std::string_view() : content.pieces().front().bytes;
  if (begin.starts_with("data:")) {
    picture.data_uri = content;
    return picture;
  }
  picture.address = content.str();
  if (!fetches_ || product.medium != Medium::image) return picture;
  const Result<Body> file = parts_.runner.fetch(picture.address, context);
  if (!file && addresses_will_do_) return picture;
  if (!file) return file.error();
  // The bytes, and what they become.
  memory_->charge_to(memory_->bytes() + file->size() / 3 * 4);
  const auto text = run_by_size(parts_.executor, file->size(), [&] {
    const std::string bytes = file->str();
    std::string uri = "data:" + std::string(media::mime_type(bytes)) + ";base64,";
    parts_.codecs.encode_base64(bytes, uri);
    return std::make_shared<const std::string>(std::move(uri));
  });
  const std::string_view bytes = *text;
  picture.data_uri.append(Piece{text, bytes});
  return picture;
}

std::string chore_note(const openai::Chore& chore) {
  return plan::header_value(
      {{"messages",
        fmt::format("a program's own question ({}) is answered without a job", chore.kind)}});
}

std::string new_talk_id(std::string_view prefix) {
  static Random random;
  return fmt::format("{}{:016x}{:016x}", prefix, random.next(), random.next());
}

std::int64_t unix_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<Seconds>(now).count();
}

}  // namespace falproxy::app
