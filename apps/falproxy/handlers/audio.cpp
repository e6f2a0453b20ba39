// Speech, sounds and transcripts: from the body of a request to its answer.

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/form_reader.hpp"
#include "falproxy/media.hpp"
#include "falproxy/openai_audio.hpp"
#include "falproxy/profile.hpp"
#include "falproxy/wav.hpp"
#include "feed.hpp"
#include "handlers/handlers.hpp"
#include "handlers/wish_call.hpp"
#include "paging.hpp"
#include "pipe.hpp"
#include "serving/reactor.hpp"
#include "sound_converter.hpp"

namespace falproxy::app {

using serving::Request;
using serving::Response;

namespace {

// Enough to tell what a sound is, and where the samples of a WAV begin.
constexpr std::size_t looked_at = 4096;
// Of a sound in one event.
constexpr std::size_t event_bytes = 24u << 10;

// Where no key is needed for a question, no wait is worth much either.
constexpr Milliseconds longest_question{10000};

// How the file that comes becomes the one that goes out.
enum class Change {
  none,
  head,      // goes before the samples
  no_head,   // the samples alone
  samples,   // resampled, once all of it is there
  converted  // by SoundConverter, once all of it is there
};

struct Shape {
  std::string content_type;
  Change change = Change::none;
  std::size_t skip = 0;         // bytes at the front
  std::size_t most = SIZE_MAX;  // bytes after them
};

bool is_made(std::string_view format) {
  return std::ranges::find(SoundConverter::made(), format) != SoundConverter::made().end();
}

std::string mime_of(std::string_view format) {
  if (format == "pcm") return "audio/pcm; rate=24000";
  const std::optional<media::SoundType> type = media::sound_from_name(format);
  return std::string(type ? media::mime_type(*type) : "application/octet-stream");
}

// By its bytes. A frame's mark is two bytes, as samples may have them, too: if those may have been
// asked for, it counts only if fal says the same.
std::optional<media::SoundType> type_of(std::string_view first, std::string_view asked,
                                        const Product& sound) {
  const std::optional<media::SoundType> type = media::sniff_sound(first);
  const bool is_frame =
      (type == media::SoundType::mp3 || type == media::SoundType::aac) && !first.starts_with("ID3");
  if (!is_frame || (asked != "pcm" && asked != "wav")) return type;
  const auto told = media::sound_from_name(sound.content_type);
  const bool is_told = (told ? told : media::sound_from_name(sound.content.str())) == type;
  return is_told ? type : std::nullopt;
}

// What the first bytes are, and what was asked for; `planned`: what it is to become, whatever
// comes.
Shape shape_of(std::string_view first, const std::optional<media::SoundType>& type,
               std::string_view asked, const std::optional<std::string>& planned) {
  const bool is_other = type && planned && media::name_of(*type) != *planned;
  const bool is_cut = type == media::SoundType::wav && planned == "pcm" &&
                      media::read_wav_head(first).value_or(media::WavHead{}).is_pcm();
  if (is_other && !is_cut && is_made(*planned)) return {mime_of(*planned), Change::converted};
  if (type == media::SoundType::wav && asked == "pcm") {
    const std::optional<media::WavHead> head = media::read_wav_head(first);
    if (head && head->is_pcm())
      return {"audio/pcm; rate=24000", Change::no_head, head->begin, head->size};
    return {"audio/pcm; rate=24000", Change::samples};
  }
  if (type) return {std::string(media::mime_type(*type))};
  // Samples have no first bytes to be known by: the model was asked for them.
  if (asked == "pcm") return {"audio/pcm; rate=24000"};
  if (asked == "wav") return {"audio/wav", Change::head};
  return {std::string(media::mime_type(first))};
}

class SpeechCall final : public WishCall {
 public:
  SpeechCall(Call& call, Door::Admission admission, bool dry_run)
      : WishCall(call, Medium::audio, std::move(admission), dry_run) {}
  Response answer() override;

 private:
  Response hand_on(const Product& sound);
  Response lost(Error error);
  /// Reads all of the sound, and changes it as a whole. Errors: it did not come, or is no sound.
  std::optional<Error> change_whole(std::string_view first);
  void write_sound(Request& out);
  /// Of what goes out; empty: the end.
  Result<std::string> next_piece();
  /// False: the client is gone.
  bool write_piece(Request& out, std::string bytes);
  bool write_event_pieces(Request& out, bool last);
  void end_too_early(Request& out, Error error);

  openai::SpeechRequest asked_;
  std::string format_;  // in lower case
  Shape shape_;
  std::shared_ptr<Pipe> pipe_;
  std::unique_ptr<SoundConverter> converter_;
  std::optional<std::string> whole_;  // goes out next, and then what the converter makes
  std::function<void()> undelivered_;
  std::string for_events_;
};

Response SpeechCall::answer() {
  Result<std::string> body = read_text();
  if (body) body = with_named_model(*std::move(body));
  if (!body) return failure(std::move(body).error());
  Result<openai::SpeechRequest> asked = run_by_size(
      parts_.executor, body->size(), [&] { return openai::parse_speech(*body, rules_->limits); });
  if (!asked) return failure(std::move(asked).error());
  asked_ = *std::move(asked);
  record_.model = asked_.wish.model.value_or("");
  if (auto explained = take_up(asked_.wish)) return *std::move(explained);
  if (prefers_async(request_.head()) && !asked_.events) {
    if (!callback_) return failure(callback_.error());
    // What it makes is told by its address: nothing is converted.
    asked_.wish.response_format = ResponseFormat::url;
    return begin_job(std::move(asked_.wish), "audio.speech");
  }
  if (const auto fault = fault_of_callback()) return failure(*fault);
  format_ = asked_.wish.output_format.value_or("mp3");
  request_.hold_when_client_leaves(repeat_hold);
  Outcome outcome = parts_.runner.handle(std::move(asked_.wish), context());
  record_.receipt = std::move(outcome.receipt);
  if (!outcome.response) return failure(std::move(outcome.response).error());
  undelivered_ = std::move(outcome.undelivered);
  return hand_on(outcome.response->front());
}

// What was paid for cannot be handed on.
Response SpeechCall::lost(Error error) {
  error.submitted = true;
  if (undelivered_) undelivered_();
  return failure(std::move(error));
}

// The file comes on a fiber beside the one that writes the answer.
Response SpeechCall::hand_on(const Product& sound) {
  static serving::FiberClock clock;
  pipe_ = std::make_shared<Pipe>(clock);
  memory_->charge_to(2 * Pipe::room);
  const bool runs =
      request_.run_beside([this, pipe = pipe_, address = sound.content.str(), call = context()] {
        Result<Done> end = Error{.kind = ErrorKind::internal, .message = "falproxy failed."};
        try {
          end = parts_.runner.relay(
              address, call, [&](std::string_view bytes) { return pipe->push(bytes, call.stop); });
        } catch (...) {  // no memory
        }
        pipe->end(std::move(end));
      });
  if (!runs)
    return lost({.kind = ErrorKind::overloaded, .message = "The server has no room left."});
  const std::string first = pipe_->look(looked_at);
  if (first.empty()) {
    Result<Done> end = pipe_->ending();
    return lost(end ? Error{.kind = ErrorKind::download_failed, .message = "The file is empty."}
                    : std::move(end).error());
  }
  const std::optional<media::SoundType> type = type_of(first, format_, sound);
  shape_ = shape_of(first, type, format_, sound.output_format);
  if (shape_.change == Change::samples || shape_.change == Change::converted) {
    if (std::optional<Error> fault = change_whole(first)) return lost(*std::move(fault));
  }
  if (shape_.change == Change::none && type && media::name_of(*type) != format_) {
    record_.receipt.notes.push_back(
        {"response_format",
         fmt::format("{} comes, which is what the model makes", media::name_of(*type))});
  }
  Response response;
  response.content_type = asked_.events ? std::string(Feed::event_type) : shape_.content_type;
  if (asked_.events) response.fields = event_fields;
  append_facts(response.fields, facts());
  response.stream = [this](Request& out) { write_sound(out); };
  return response;
}

std::optional<Error> SpeechCall::change_whole(std::string_view first) {
  std::string all;
  for (std::string bytes = pipe_->take(); !bytes.empty(); bytes = pipe_->take()) {
    all.append(bytes);
    memory_->charge_to(2 * Pipe::room + 4 * all.size());
  }
  pipe_->close();
  if (Result<Done> end = pipe_->ending(); !end) return std::move(end).error();
  if (shape_.change == Change::samples) {
    parts_.executor.run_blocking([&] { whole_ = media::pcm_of(all); });
    if (whole_) return std::nullopt;
    return Error{.kind = ErrorKind::upstream_failed,
                 .message = "The sound is no WAV that can be read."};
  }
  Result<std::unique_ptr<SoundConverter>> made = Error{};
  parts_.executor.run_blocking([&] {
    made = SoundConverter::create(all, format_);
    if (made) {
      Result<std::string> begin = (*made)->next();
      if (begin) {
        whole_ = *std::move(begin);
      } else {
        made = std::move(begin).error();
      }
    }
  });
  if (made) {
    memory_->charge_to(4 * Pipe::room + all.size());
    converter_ = *std::move(made);
    return std::nullopt;
  }
  if (format_ != "mp3") return std::move(made).error();
  shape_ = shape_of(first, media::sniff_sound(first), format_, std::nullopt);
  whole_ = std::move(all);
  return std::nullopt;
}

Result<std::string> SpeechCall::next_piece() {
  if (whole_) return std::exchange(whole_, std::nullopt).value();
  if (converter_ != nullptr) {
    Result<std::string> next = std::string();
    parts_.executor.run_blocking([&] { next = converter_->next(); });
    return next;
  }
  while (true) {
    std::string bytes = pipe_->take();
    if (bytes.empty()) {
      if (const Result<Done> end = pipe_->ending(); !end) return end.error();
      return bytes;
    }
    const std::size_t skipped = std::min(shape_.skip, bytes.size());
    shape_.skip -= skipped;
    bytes = bytes.substr(skipped, shape_.most);
    if (shape_.most != SIZE_MAX) shape_.most -= bytes.size();
    if (!bytes.empty()) return bytes;
  }
}

void SpeechCall::write_sound(Request& out) {
  streams_ = true;
  bool there = shape_.change != Change::head || write_piece(out, media::head_for_pcm());
  std::optional<Error> fault;
  while (there) {
    Result<std::string> piece = next_piece();
    if (!piece) {
      fault = std::move(piece).error();
      break;
    }
    if (piece->empty()) break;
    there = write_piece(out, *std::move(piece));
  }
  pipe_->close();
  if (fault) return end_too_early(out, *std::move(fault));
  if (there && asked_.events)
    there = write_event_pieces(out, true) && out.write(Body(openai::write_speech_end()));
  if (!there && undelivered_) undelivered_();
  done(200, nullptr);
}

bool SpeechCall::write_piece(Request& out, std::string bytes) {
  record_.answer_bytes += bytes.size();
  if (!asked_.events) return out.write(Body(std::move(bytes)));
  for_events_ += bytes;
  return write_event_pieces(out, false);
}

bool SpeechCall::write_event_pieces(Request& out, bool last) {
  while (for_events_.size() >= event_bytes || (last && !for_events_.empty())) {
    std::string base64;
    parts_.codecs.encode_base64(std::string_view(for_events_).substr(0, event_bytes), base64);
    for_events_.erase(0, event_bytes);
    if (!out.write(Body(openai::write_speech_delta(base64)))) return false;
  }
  return true;
}

// Its head is out.
void SpeechCall::end_too_early(Request& out, Error error) {
  error = explained(std::move(error));
  if (asked_.events) {
    static_cast<void>(out.write(Body(openai::write_error_event(error, record_.model))));
  } else {
    out.cut();
  }
  if (undelivered_) undelivered_();
  done(openai::describe(error.kind).status, &error);
}

class TranscriptCall final : public WishCall {
 public:
  TranscriptCall(Call& call, bool translate, Door::Admission admission, bool dry_run)
      : WishCall(call, Medium::text, std::move(admission), dry_run), translate_(translate) {}
  Response answer() override;

 private:
  Result<openai::TranscriptRequest> read_form();
  Response answer_to(Outcome outcome, const openai::TranscriptRequest& asked);

  const bool translate_;
};

Response TranscriptCall::answer() {
  Result<openai::TranscriptRequest> asked = read_form();
  if (!asked) return failure(std::move(asked).error());
  record_.model = asked->wish.model.value_or("");
  if (auto explained = take_up(asked->wish)) return *std::move(explained);
  if (const auto fault = fault_of_callback()) return failure(*fault);
  request_.hold_when_client_leaves(repeat_hold);
  Wish wish = std::move(asked->wish);
  asked->wish = {.makes = Medium::text, .language = wish.language, .translate = translate_};
  return answer_to(parts_.runner.handle(std::move(wish), context()), *asked);
}

Result<openai::TranscriptRequest> TranscriptCall::read_form() {
  Result<std::vector<openai::FormPart>> parts = read_parts(openai::FormGatherer::Files::sound);
  if (!parts) return std::move(parts).error();
  name_model(*parts);
  return run_by_size(parts_.executor, record_.request_bytes, [&] {
    return openai::parse_transcript(translate_, *std::move(parts), rules_->limits);
  });
}

Response TranscriptCall::answer_to(Outcome outcome, const openai::TranscriptRequest& asked) {
  record_.receipt = std::move(outcome.receipt);
  if (!outcome.response) return failure(std::move(outcome.response).error());
  const Transcript transcript = outcome.response->front().transcript.value_or(Transcript{});
  Response response{.content_type = asked.stream
                                        ? std::string(Feed::event_type)
                                        : std::string(openai::content_type_of(asked.format)),
                    .undelivered = std::move(outcome.undelivered)};
  const std::size_t size = 200 * (transcript.words.size() + transcript.segments.size());
  response.body = Body(run_by_size(parts_.executor, size, [&] {
    return asked.stream ? openai::write_events(transcript, asked)
                        : openai::write(transcript, asked);
  }));
  if (asked.stream) response.fields = event_fields;
  append_facts(response.fields, facts());
  record_.answer_bytes = response.body.size();
  done(response.status, nullptr);
  return response;
}

Response hear(Call& call, bool translate) {
  return answer_wish(call, BodyKind::form, [&](Door::Admission admission, bool dry_run) {
    return std::make_shared<TranscriptCall>(call, translate, std::move(admission), dry_run);
  });
}

using Profiles = std::vector<std::pair<std::string, std::shared_ptr<const profile::Profile>>>;

// The models that speak or make other sounds, as far as their documents are there.
Profiles speaking(const Call& call) {
  const Catalog& catalog = call.door.parts().catalog;
  Profiles found;
  for (const CatalogModel& model : catalog.models()) {
    if (model.is_pattern() || !call.rules->access.may_use(call.caller.client, model.name)) continue;
    auto made = catalog.cached(model.endpoint, model.name);
    if (made != nullptr && made->makes == Medium::audio)
      found.emplace_back(model.name, std::move(made));
  }
  return found;
}

}  // namespace

Response speak(Call& call) {
  return answer_wish(call, BodyKind::json, [&](Door::Admission admission, bool dry_run) {
    return std::make_shared<SpeechCall>(call, std::move(admission), dry_run);
  });
}

Response transcribe(Call& call) { return hear(call, false); }
Response translate_speech(Call& call) { return hear(call, true); }

Response list_voices(Call& call) {
  Catalog& catalog = call.door.parts().catalog;
  Profiles models;
  if (const std::string name = query_value(call.request.head().target, "model"); name.empty()) {
    models = speaking(call);
  } else {
    const Result<CatalogModel> model = catalog.find(name);
    if (!model) return call.fail(model.error());
    if (!call.rules->access.may_use(call.caller.client, name)) {
      return call.fail({.kind = ErrorKind::model_not_allowed,
                        .message = "This access key may not use the model.",
                        .field = "model"});
    }
    Result<std::shared_ptr<const profile::Profile>> made = catalog.profile(
        model->endpoint, model->name, call.request.began() + longest_question, call.request.stop());
    if (!made) return call.fail(made.error());
    models.emplace_back(name, *std::move(made));
  }
  std::vector<openai::Voice> voices;
  for (const auto& [name, made] : models) {
    for (std::string& voice : profile::voices_of(*made)) voices.push_back({std::move(voice), name});
  }
  return json_answer(openai::write_voices(voices));
}

Response list_audio_models(Call& call) {
  std::vector<std::string> names;
  for (const auto& [name, made] : speaking(call)) names.push_back(name);
  return json_answer(openai::write_audio_models(names));
}

}  // namespace falproxy::app
