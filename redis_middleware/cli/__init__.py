"""What is run from a shell, and what that needs: processes and the demo."""
