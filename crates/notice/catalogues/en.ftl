# What people are told. Short, one sentence or two, nobody's number, nothing of what was said.
# `.for` is the same where it is known, and must be told, for whom it was.
refused = Your message was not delivered: the app on the other side did not accept it.
    .for = { $recipient } did not get your message: the app on the other side did not accept it.
expired = Your message was not delivered: it waited for too long. Please send it again if it still matters.
    .for = { $recipient } did not get your message: it waited for too long. Please send it again if it still matters.
unreachable = Your message was not delivered: the other person cannot be reached at the moment.
    .for = { $recipient } did not get your message and cannot be reached at the moment.
window-closed = Your message is waiting. It will be delivered when the other person writes again.
    .for = Your message to { $recipient } is waiting. It will be delivered when { $recipient } writes again.
account-paused = Your message is waiting: there is a problem with the connection to the other app.
    .for = Your message to { $recipient } is waiting: there is a problem with the connection to the other app.
not-bridged = This kind of message cannot be passed on. Please send it in another form.
    .for = This kind of message cannot be passed on to { $recipient }. Please send it in another form.
edit-not-possible = Your change was not passed on: the message that you changed is not known on the other side.
    .for = { $recipient } did not get your change: the message that you changed is not known there.
unsend-not-possible = The message that you deleted can still be seen on the other side; it cannot be taken back there.
    .for = { $recipient } can still see the message that you deleted; it cannot be taken back there.
failed-later = Your message was sent, but the app on the other side could not deliver it.
    .for = Your message to { $recipient } was sent, but the app there could not deliver it.
uncertain = It is not certain whether your message arrived. Please ask, or send it again.
    .for = It is not certain whether { $recipient } got your message. Please ask, or send it again.
media-too-large = Your file was not delivered: it is too large for the app on the other side.
    .for = { $recipient } did not get your file: it is too large for the app there.
media-unavailable = Your file was not delivered: it could not be fetched. Please send it again.
    .for = { $recipient } did not get your file: it could not be fetched. Please send it again.
sealed = Your message was not delivered: it is sealed, and the other side has no key for it.
    .for = { $recipient } did not get your message: it is sealed, and there is no key for it there.
