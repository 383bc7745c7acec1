import { notifications } from '@mantine/notifications';
import { type ApiError, unreachable } from '../api/errors';

/** Say in a corner that something worked. */
export function tell(message: string) {
  notifications.show({
    message,
    color: 'teal',
    autoClose: 3000,
    closeButtonProps: { 'aria-label': 'Dismiss' },
  });
}

/** Say in a corner what failed, with the request's id. It stays until it is read. */
export function tellError(cause: unknown, title: string) {
  const error: ApiError = unreachable(cause);
  notifications.show({
    title,
    message: error.requestId ? `${error.message} (request ${error.requestId})` : error.message,
    color: 'red',
    closeButtonProps: { 'aria-label': 'Dismiss' },
    autoClose: false,
  });
}
