#!/usr/bin/env python3
"""Writes models/demo/eval/calibration: short synthetic clips for calibrating the demo model.

Needs numpy and the programs espeak-ng, flite and oggenc (Debian: espeak-ng flite vorbis-tools). Building and testing do
not need this script: the clips are in the repository.

    tools/make_calibration_audio.py models/demo/eval/calibration --exclude REFS.tsv...

Sentences are drawn from templates and word lists like those of the training data. A sentence that occurs in one of the
--exclude files (file, language, text; texts of several sentences are taken apart) is drawn again, so no clip shares a
sentence with a test clip. The same seed, programs and --exclude files give the same bytes.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import wave

import numpy as np

RATE = 16000
CLIPS = 120
SHORTEST, LONGEST = 2.0, 8.0  # seconds, including silence at both ends

ACCENTS = ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029"]
VARIANTS = ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2", "klatt3",
            "klatt4", "Alex", "Andy", "Annie", "adam", "david", "edward", "linda", "max", "pablo", "paul", "quincy", "steph"]
FLITE_VOICES = ["slt", "rms", "awb", "kal16"]
FLITE_SHARE = 0.12

EN = {
    "name": "Anna Arthur David Diana Emma Irene James Julia Martin Michael Olivia Oscar Robert Simon Sophia Thomas Victor",
    "city": "Athens Berlin Chicago Dublin Helsinki London Madrid Moscow Paris Prague Rome Sydney",
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January February March April May July August September October November",
    "person": "doctor farmer grandfather hunter lawyer mother neighbor pilot sailor singer sister soldier teacher daughter",
    "animal": "chicken dolphin duck elephant horse sheep spider tiger wolf",
    "thing": "bag bicycle book box candle car coin door hat jacket knife letter map newspaper notebook paper pencil "
             "photograph piano ring screen shirt shoe table ticket train umbrella window",
    "place": "airport basement bathroom beach bedroom church corner desert factory forest garage garden hallway kitchen "
             "library museum office restaurant river stadium valley village",
    "adj": "blue bright broken clean cold expensive famous friendly golden heavy hungry important large loud new quiet "
           "silver simple small strange tired warm white wooden yellow young",
    "does": "dances laughs listens plays reads sings sleeps studies waits writes",
    "did": "admired carried cleaned dropped hid lost measured moved noticed painted repaired returned",
    "do": "borrow carry clean close find measure move open repair",
    "adv": "again always finally late quickly slowly usually",
    "food": "banana honey milk onion pasta sugar tomato apple",
    "weather": "fog rain snow storm sunshine thunder wind",
    "number": "two five six eight nine eleven twelve thirteen fourteen sixteen seventeen nineteen thirty forty sixty seventy "
              "eighty ninety",
    "device": "air conditioner|alarm|fan|heating|radio|television|washing machine|music",
}
EN_TEMPLATES = [
    "The {adj} {animal} {does} near the {place}.", "They traveled from {city} to {city} by {thing}.",
    "On {day} morning, {name} {did} the {thing}.", "In {month}, we expect {weather} and {weather}.",
    "We will {do} the {thing} {adv}.", "There are {number} {adj} boxes in the {place}.",
    "The {thing} on the {thing} is very {adj}.", "What is the weather like in {city}?",
    "No, the {person} is not in the {place}.", "Where is the {adj} {thing}?", "Can you {do} the {thing} before {day}?",
    "Turn off the {device}, please.", "Who {did} my {thing}?", "{name} and {name} went to {city} on {day}.",
    "What time does the train to {city} leave?", "If it starts to rain, {do} the {thing}.",
    "The {place} is closed in {month}.", "Tell the {person} that we are {adj}.",
    "Every {day}, the {person} {does} in the {place}.", "Do not touch the {adj} {thing}!", "My {person} lives in {city}.",
    "Set a timer for {number} minutes.", "Play some {adj} music in the {place}.",
    "The {thing} was {adj}, but the {person} was {adj}.", "How much does the {adj} {thing} cost?",
    "Call {name} at {number} o'clock.", "{name}, where did you put the {thing}?",
    "Please turn on the {device} in the {place}.", "The meeting starts on {day} at {number}.", "Wake me up at {number} thirty.",
    "She ordered {food}, {food}, and {food}.", "{name} {did} a {adj} {thing} in the {place}.",
    "I can {do} it, but I cannot {do} it.", "It costs {number} dollars and {number} cents.",
    "I would like {food} with {food}, please.", "We need {number} more tickets to {city}.",
    "Did the {person} find the {adj} {thing}?", "The number is {number}, {number}, {number}, {number}.",
]

RU = {
    "name": "Андрей Анна Борис Виктор Галина Дмитрий Елена Иван Лариса Максим Наталья Олег Павел Светлана Сергей Татьяна Юлия",
    "incity": "Вене Казани Киеве Лондоне Минске Москве Омске Париже Праге Риме Самаре Сочи Твери Томске Туле",
    "day": "понедельник вторник среду четверг пятницу субботу воскресенье",
    "inmonth": "феврале апреле мае июне июле августе октябре ноябре декабре",
    "person": "артист брат водитель врач дедушка друг инженер капитан лётчик мальчик отец писатель повар покупатель рабочий "
              "сосед учитель художник человек",
    "animal": "волк заяц кот медведь пёс",
    "thing": "билет бумагу бутылку велосипед гитару зеркало зонт камеру карандаш картину ключ книгу кольцо компьютер коробку "
             "корзину куртку машину монету одеяло окно письмо рубашку стол стул телефон тетрадь шляпу",
    "place": "аэропорту библиотеке больнице городе гостинице доме комнате кухне лесу магазине музее офисе парке ресторане саду "
             "театре школе",
    "adj": "белый голодный грустный дорогой жёлтый зелёный красный маленький молодой новый опасный простой пустой синий старый "
           "тёмный тёплый тихий усталый холодный чёрный чистый яркий важный",
    "does": "бежит играет отдыхает пишет плавает поёт работает слушает смеётся спит танцует учится читает молчит",
    "did": "вернул забыл заметил измерил купил нарисовал нашёл отправил получил поставил починил принёс продал спрятал увидел",
    "do": "вернуть закрыть измерить купить найти нарисовать открыть получить починить принести проверить продать спрятать "
          "увидеть",
    "adv": "быстро вдруг вместе всегда медленно наконец обычно осторожно поздно почти рано тихо часто",
    "when": "вчера сегодня утром днём завтра",
    "food": "апельсин кофе лимон масло мёд молоко пиццу сахар сок суп сыр хлеб чай шоколад яблоко",
    "weather": "ветер гром дождь мороз снег туман",
    "number": "два три пять шесть семь девять десять одиннадцать тринадцать четырнадцать пятнадцать двадцать тридцать сорок "
              "пятьдесят шестьдесят семьдесят восемьдесят девяносто сто",
    "device": "будильник вентилятор музыку отопление радио свет телевизор таймер",
}
RU_TEMPLATES = [
    "Каждый {day}, {person} {does} в {place}.", "Это очень {adj} {person}.", "Включи {device}, пожалуйста.",
    "Выключи {device} в {place}.", "Нет, {person} не {does} в {place}.",
    "{Adj} {person} и {adj} {animal} {did} {thing}.", "В {inmonth} будет {weather} и {weather}.",
    "Сегодня {person} должен {do} {thing}.", "Доброе утро, {name}!", "Мне нужно {do} {thing}.",
    "Позвони мне в {number} часов.", "{Person} сказал, что {person} {does}.", "Я хочу {do} {thing} и {thing}.",
    "Вчера {person} {did} {thing} в {incity}.", "{name} {when} {does} в {place}, а {name} {does} в {place}.",
    "Поставь таймер на {number} минут.", "Поезд был в {incity} {when}.", "{Adj} {person} {does} в {place}.",
    "Не забудь {do} {thing}!", "Если будет {weather}, надо {do} {thing}.", "{Person} {adv} {did} {thing}.",
    "Почему {animal} почти {does}?", "Смотри, {adj} {person}!", "В {place} {number} человек.", "Кто {did} мою {thing}?",
    "Мой {person} живёт в {incity}.", "Закажи {food} и {food}, пожалуйста.", "Он купил {food}, {food} и {food}.",
    "Какая погода в {incity}?", "Можно {do} {thing} завтра?", "Где находится {adj} {person}?", "Сколько стоит {adj} билет?",
    "Да, {name} {adv} {does}.", "Мы встретимся в {day} в {number} часов.",
    "Мой номер {number}, {number}, {number}, {number}.", "Разбуди меня в {number} часов.",
]


def word_lists(table):
    return {key: text.split("|") if "|" in text else text.split() for key, text in table.items()}


LANGUAGES = [("en", "English", word_lists(EN), EN_TEMPLATES), ("ru", "Russian", word_lists(RU), RU_TEMPLATES)]


def pick(rng, items):
    return items[int(rng.integers(len(items)))]


def upper_first(text):
    return text[0].upper() + text[1:]


def fill(rng, template, words):
    def word(match):
        key = match.group(1)
        chosen = pick(rng, words[key.lower()])
        return upper_first(chosen) if key[0].isupper() else chosen

    return re.sub(r"\{(\w+)\}", word, template)


def word_salad(rng, words):
    everything = sorted({w for group in words.values() for w in group})
    return upper_first(" ".join(pick(rng, everything) for _ in range(int(rng.integers(3, 10))))) + "."


def plain(text):
    return " ".join(re.findall(r"\w+", text.lower()))


def excluded_sentences(paths):
    found = set()
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for line in file:
                text = line.rstrip("\n").split("\t")[-1]
                found.add(plain(text))
                found.update(plain(s) for s in re.split(r"(?<=[.!?])\s+", text))
    return found


def compose(rng, words, templates, taken):
    while True:
        text = word_salad(rng, words) if rng.random() < 0.25 else fill(rng, pick(rng, templates), words)
        if plain(text) not in taken:
            return text


def read_wave(path):
    with wave.open(path, "rb") as file:
        if file.getnchannels() != 1 or file.getsampwidth() != 2:
            sys.exit(f"error: '{path}' is not 16-bit mono")
        # espeak-ng writes the header before it knows the length: read to the end
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return data.astype(np.float64) / 32768.0, file.getframerate()


def resample(x, rate):
    """Resamples to RATE by cutting or padding the spectrum, which is exact for band-limited audio."""
    if rate == RATE:
        return x
    n_out = int(round(len(x) * RATE / rate))
    spectrum = np.fft.rfft(x)
    wanted = np.zeros(n_out // 2 + 1, complex)
    n = min(len(spectrum), len(wanted))
    wanted[:n] = spectrum[:n]
    return np.fft.irfft(wanted, n_out) * (n_out / len(x))


def speak(rng, code, text, folder):
    path = os.path.join(folder, "speech.wav")
    if code == "en" and rng.random() < FLITE_SHARE:
        command = ["flite", "-voice", pick(rng, FLITE_VOICES), "--setf", f"duration_stretch={rng.uniform(0.85, 1.2):.3f}",
                   "-t", text, "-o", path]
    else:
        voice = pick(rng, ACCENTS) if code == "en" else "ru"
        if rng.random() < 0.8:
            voice += "+" + pick(rng, VARIANTS)
        command = ["espeak-ng", "-v", voice, "-s", str(int(rng.integers(130, 190))), "-p", str(int(rng.integers(30, 70))),
                   "-w", path, text]
    subprocess.run(command, check=True)
    return resample(*read_wave(path))


def reverberate(rng, x):
    """A direct impulse, then noise that decays by 60 dB in 0.15 to 0.6 s."""
    seconds = rng.uniform(0.15, 0.6)
    t = np.arange(int(seconds * RATE)) / RATE
    tail = rng.standard_normal(len(t)) * np.exp(-6.9 * t / seconds)
    tail[: int(0.004 * RATE)] = 0.0
    tail *= rng.uniform(0.3, 0.9) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    n = len(x) + len(tail)
    return np.fft.irfft(np.fft.rfft(x, n) * np.fft.rfft(tail, n), n)[: len(x) + int(0.1 * RATE)]


def noise(rng, n):
    """White noise, or pink noise, whose power falls with frequency."""
    white = rng.standard_normal(n)
    if rng.random() < 0.5:
        return white
    spectrum = np.fft.rfft(white)
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0.0
    return np.fft.irfft(spectrum, n)


def disturb(rng, x):
    if rng.random() < 0.8:
        x = reverberate(rng, x)
    added = noise(rng, len(x))
    snr = rng.uniform(2.0, 20.0)
    return x + added * np.sqrt(np.mean(x**2) / np.mean(added**2) / 10.0 ** (snr / 10.0))


def write_ogg(path, x, serial, folder):
    wav = os.path.join(folder, "clip.wav")
    with wave.open(wav, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.clip(np.rint(x * 32767.0), -32768, 32767).astype("<i2").tobytes())
    # without --serial, the serial number is random
    subprocess.run(["oggenc", "--quiet", "--quality", "3", "--serial", str(serial), "-o", path, wav], check=True)


def make_clip(rng, index, taken, folder):
    code, language, words, templates = LANGUAGES[index % 2]
    while True:
        text = compose(rng, words, templates, taken)
        x = speak(rng, code, text, folder)
        x = np.concatenate([np.zeros(int(rng.uniform(0.05, 0.25) * RATE)), x, np.zeros(int(rng.uniform(0.05, 0.25) * RATE))])
        if SHORTEST <= len(x) / RATE <= LONGEST - 0.1:
            break
    taken.add(plain(text))
    kind = "clean" if index % 6 < 2 else "noisy"
    if kind == "noisy":
        x = disturb(rng, x)
    x *= 10.0 ** (rng.uniform(-12.0, -2.0) / 20.0) / np.max(np.abs(x))
    return f"{code}-{kind}-{index // 2:02d}.ogg", language, text, x


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # were it ignored, failures of children would go unnoticed
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", help="directory for the clips and refs.tsv")
    parser.add_argument("--exclude", nargs="+", default=[], metavar="TSV", help="files whose sentences are not used")
    parser.add_argument("--seed", type=int, default=20)
    args = parser.parse_args()
    os.makedirs(args.output, exist_ok=True)
    rng = np.random.default_rng(args.seed)
    taken = excluded_sentences(args.exclude)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(CLIPS):
            name, language, text, x = make_clip(rng, index, taken, folder)
            write_ogg(os.path.join(args.output, name), x, args.seed * CLIPS + index, folder)
            rows.append((name, language, text))
    with open(os.path.join(args.output, "refs.tsv"), "w", encoding="utf-8") as file:
        file.write("file\tlanguage\ttext\n")
        file.writelines("\t".join(row) + "\n" for row in sorted(rows))


if __name__ == "__main__":
    main()
