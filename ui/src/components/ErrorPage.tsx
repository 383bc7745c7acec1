import { Center, Container } from '@mantine/core';
import { type ErrorComponentProps, useRouter } from '@tanstack/react-router';
import { ApiError } from '../api/errors';
import { ErrorNotice } from './ErrorNotice';

/** In place of a page that could not be shown. */
export function ErrorPage({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  const again = () => {
    reset();
    router.invalidate();
  };
  return (
    <Center mih="60vh">
      <Container size="sm" w="100%">
        <ErrorNotice
          error={error instanceof ApiError ? error : ofThePage(error)}
          title="This page could not be shown"
          action={
            error instanceof ApiError
              ? { label: 'Try again', onClick: again }
              : { label: 'Reload', onClick: () => window.location.reload() }
          }
        />
      </Container>
    </Center>
  );
}

/** Not the server's failure, or not one that it could tell of. */
function ofThePage(error: unknown): { message: string } {
  const words = error instanceof Error ? error.message : String(error);
  // In the words of Chromium, Firefox and Safari.
  const isMissing = /dynamically imported module|importing a module script/i.test(words);
  return {
    message: isMissing
      ? 'A part of the application could not be loaded. Check that `adaptive serve` is running, then reload the page: the server may have been updated.'
      : `The page itself failed: ${words}. Reload it; if that does not help, please report it with these words.`,
  };
}
